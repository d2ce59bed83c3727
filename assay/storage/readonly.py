"""A store that is only read: what is written or deleted through it is left to somebody else.

The processes of one training run all compute the same. The first writes; the others run the same code on this store.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from assay.storage.store import ObjectInfo, Store, Unfinished


class ReadOnlyStore:
    """Reads of another store (see `assay.storage.store.Store`); every change is dropped."""

    def __init__(self, store: Store) -> None:
        self.store = store

    @property
    def uri(self) -> str:
        return self.store.uri

    def read_bytes(self, path: str) -> bytes:
        return self.store.read_bytes(path)

    def read_chunks(self, path: str) -> Iterator[bytes]:
        return self.store.read_chunks(path)

    def exists(self, path: str) -> bool:
        return self.store.exists(path)

    def list(self, prefix: str = "") -> list[ObjectInfo]:
        return self.store.list(prefix)

    def fetch(self, path: str) -> Path:
        return self.store.fetch(path)

    def fetch_tree(self, prefix: str) -> Path:
        return self.store.fetch_tree(prefix)

    def unfinished(self) -> tuple[Unfinished, ...]:
        return self.store.unfinished()

    def write_bytes(self, path: str, data: bytes) -> None:
        pass

    def create_bytes(self, path: str, data: bytes) -> None:
        pass

    def delete(self, path: str) -> None:
        pass

    def upload(self, local: Path, path: str) -> None:
        pass

    def upload_tree(self, local: Path, prefix: str) -> None:
        pass

    def abandon(self, unfinished: Unfinished) -> None:
        pass
