"""A store that is only read."""

from __future__ import annotations

from pathlib import Path

from assay.storage import open_store
from assay.storage.readonly import ReadOnlyStore
from assay.storage.store import Store


def test_everything_can_be_read_and_nothing_changes(tmp_path: Path) -> None:
    inner = open_store(str(tmp_path / "store"))
    inner.write_bytes("a/b", b"old")
    local = tmp_path / "file"
    local.write_bytes(b"new")
    store: Store = ReadOnlyStore(inner)
    for change in (
        lambda: store.write_bytes("a/b", b"new"),
        lambda: store.create_bytes("a/c", b"new"),
        lambda: store.upload(local, "a/d"),
        lambda: store.upload_tree(tmp_path, "e"),
        lambda: store.delete("a/b"),
    ):
        change()
    assert [info.path for info in store.list()] == ["a/b"]
    assert store.read_bytes("a/b") == b"".join(store.read_chunks("a/b")) == store.fetch("a/b").read_bytes() == b"old"
    assert store.fetch_tree("a").is_dir()
    assert store.exists("a/b")
    assert store.uri == inner.uri
    assert list(store.unfinished()) == list(inner.unfinished())
