"""A store in an S3 bucket (or anything that speaks S3 with conditional writes).

    write    PUT, atomic by S3's own promise; large files by multipart upload, which appears when completed
    create   PUT with `If-None-Match: *`: 412 means somebody was first
    fetch    GET into a cache folder named by the digest of what was asked for and its ETags, so it is never stale;
             the folder appears whole, by rename, and may be deleted whenever no run is using it

Endpoint and credentials are boto3's own: AWS_ENDPOINT_URL, AWS_ACCESS_KEY_ID, profiles, service accounts, ….
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from assay.contracts.base import digest
from assay.contracts.errors import AssayError, InputError, ObjectExists, ObjectMissing, Retryable, StorageError
from assay.storage.store import CHUNK_BYTES, ObjectInfo, checked

_AGAIN = frozenset({409, 425, 429, 500, 502, 503, 504})
"""Throttled, unwell, or (409) in the middle of somebody else's conditional write."""


@dataclass(frozen=True, slots=True)
class _Version:
    """An object as a listing showed it."""

    path: str
    size_bytes: int
    etag: str


class S3Store:
    """Objects under `s3://{bucket}/{prefix}` (see `assay.storage.store.Store`). `cache` holds what `fetch` downloads:
    by default `$ASSAY_CACHE`, or `assay` in `$XDG_CACHE_HOME` or `~/.cache`."""

    def __init__(self, bucket: str, prefix: str = "", cache: Path | None = None) -> None:
        if find_spec("boto3") is None:
            raise InputError(f"s3://{bucket}", "S3 needs boto3", "Run: pip install 'assay[s3]'")
        self.bucket = bucket
        self.prefix = f"{checked(prefix)}/" if prefix else ""
        self.cache = cache or _default_cache()

    @property
    def uri(self) -> str:
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def read_bytes(self, path: str) -> bytes:
        return b"".join(self.read_chunks(path))

    def read_chunks(self, path: str) -> Iterator[bytes]:
        with self._refusals(path):
            yield from self._client.get_object(**self._at(path))["Body"].iter_chunks(CHUNK_BYTES)

    def write_bytes(self, path: str, data: bytes) -> None:
        with self._refusals(path):
            self._client.put_object(**self._at(path), Body=data)

    def create_bytes(self, path: str, data: bytes) -> None:
        with self._refusals(path):
            self._client.put_object(**self._at(path), Body=data, IfNoneMatch="*")

    def exists(self, path: str) -> bool:
        try:
            self._version(path)
        except ObjectMissing:
            return False
        return True

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        return sorted(ObjectInfo(version.path, version.size_bytes) for version in self._versions(prefix))

    def delete(self, path: str) -> None:
        with self._refusals(path):
            self._client.delete_object(**self._at(path))

    def upload(self, local: Path, path: str) -> None:
        with local.open("rb") as source, self._refusals(path):
            self._client.upload_fileobj(source, **self._at(path))

    def fetch(self, path: str) -> Path:
        return self._cached([self._version(path)]) / path

    def fetch_tree(self, prefix: str) -> Path:
        versions = sorted(self._versions(checked(prefix)), key=lambda version: version.path)
        if not versions:
            raise ObjectMissing(f"{self.uri}/{prefix}/ holds nothing")
        return self._cached(versions) / prefix

    def _at(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + checked(path)}

    def _version(self, path: str) -> _Version:
        with self._refusals(path):
            head = self._client.head_object(**self._at(path))
        return _Version(path, head["ContentLength"], head["ETag"])

    def _versions(self, prefix: str) -> Iterator[_Version]:
        folder = f"{self.prefix}{checked(prefix)}/" if prefix else self.prefix
        with self._refusals(prefix):
            for page in self._client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=folder):
                for item in page.get("Contents", ()):
                    if not item["Key"].endswith("/"):  # a folder marker left by a console
                        yield _Version(item["Key"][len(self.prefix) :], item["Size"], item["ETag"])

    def _cached(self, versions: Sequence[_Version]) -> Path:
        """A folder holding exactly these versions under their paths, downloaded unless it is there."""
        folder = self.cache / digest([self.uri, [(version.path, version.etag) for version in versions]])
        if not folder.is_dir():
            self.cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache, ignore_cleanup_errors=True) as partial:
                for version in versions:
                    self._download(version, Path(partial) / "tree" / version.path)
                _publish(Path(partial) / "tree", folder)
        return folder

    def _download(self, version: _Version, local: Path) -> None:
        local.parent.mkdir(parents=True, exist_ok=True)
        with self._refusals(version.path):
            self._client.download_file(**self._at(version.path), Filename=str(local))

    @cached_property
    def _client(self) -> Any:
        import boto3

        return boto3.session.Session().client("s3")

    @contextmanager
    def _refusals(self, path: str) -> Iterator[None]:
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            raise _from_response(f"{self.uri}/{path}", error.response) from error
        except (BotoCoreError, Boto3Error) as error:
            raise _from_client(f"{self.uri}/{path}", error) from None


def _from_response(uri: str, response: dict[str, Any]) -> AssayError:
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    code, said = response["Error"].get("Code", ""), response["Error"].get("Message", "")
    if status == 412:
        return ObjectExists(f"{uri} was committed before")
    if code == "NoSuchBucket":
        return StorageError(f"{uri}: the bucket does not exist. Create it, or correct the storage root")
    if status == 404:
        return ObjectMissing(f"{uri} is not there")
    if status in _AGAIN:
        return Retryable(f"{uri}: S3 answered {status} {code}. Run the same command again")
    return StorageError(f"{uri}: S3 answered {status} {code} ({said}). Check the credentials' rights on the bucket")


def _from_client(uri: str, error: Exception) -> AssayError:
    """Errors without an answer. Those of the connection are named only: their text holds the endpoint, which may hold a
    password; for the same reason they are not chained."""
    from boto3.exceptions import RetriesExceededError
    from botocore.exceptions import ConnectionError as NoConnection
    from botocore.exceptions import HTTPClientError, IncompleteReadError

    if isinstance(error, NoConnection | HTTPClientError | IncompleteReadError | RetriesExceededError):
        return Retryable(f"{uri}: {type(error).__name__}. Check AWS_ENDPOINT_URL, or run the same command again")
    return StorageError(f"{uri}: {error}. Check the AWS_… environment variables and profile")


def _publish(tree: Path, folder: Path) -> None:
    try:
        tree.rename(folder)
    except OSError:
        if not folder.is_dir():  # somebody else published the same versions: theirs will do
            raise


def _default_cache() -> Path:
    if configured := os.environ.get("ASSAY_CACHE"):
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "assay"
