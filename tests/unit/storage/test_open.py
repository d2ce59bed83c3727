"""Which text names which store."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from assay.contracts.errors import InputError, SpecError
from assay.storage import open_store


def test_plain_paths_and_file_uris_name_the_same_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space % and ü"
    assert open_store(str(folder)).uri == open_store(folder.as_uri()).uri == folder.as_uri()


def test_a_relative_path_starts_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert open_store("runs").uri == (tmp_path / "runs").as_uri()


@pytest.mark.parametrize("uri", ["s3://bucket", "s3://bucket/runs", "s3://bucket/runs/nightly"])
def test_a_bucket_with_or_without_a_prefix_is_a_store(uri: str) -> None:
    assert open_store(uri).uri == open_store(f"{uri}/").uri == uri


@pytest.mark.parametrize(
    "uri", ["", "s3://", "s3:///runs", "gs://bucket/runs", "http://host/x", "file://host/x", "://x"]
)
def test_anything_else_is_refused_by_name(uri: str) -> None:
    with pytest.raises(SpecError, match=r"Use a path, file:///path or s3://bucket/prefix"):
        open_store(uri)


def test_a_prefix_that_leads_elsewhere_is_refused() -> None:
    with pytest.raises(InputError, match="not a path inside a store"):
        open_store("s3://bucket/runs/../other")


def test_opening_a_store_makes_nothing(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "runs"))
    assert store.list() == []
    assert not store.exists("a")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_store_needs_no_boto3() -> None:
    check = "import sys, assay.storage; sys.exit(bool({'boto3', 'botocore', 'torch'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
