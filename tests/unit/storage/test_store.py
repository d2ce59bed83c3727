"""The contract of a store, held against a folder and against a real S3 server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.contracts.errors import InputError, ObjectExists, ObjectMissing
from assay.storage import ObjectInfo, Store, open_store

OUTSIDE = [
    "",
    "/etc/passwd",
    "..",
    "a/../b",
    "a//b",
    "a/",
    "./a",
    "a/./b",
    ".assay-incoming/x",
    "a\x00b",
    "a\nb",
    "a\\b",
]


def test_what_is_written_is_read_back(store: Store) -> None:
    for data in (b"", b"one", bytes(range(256)) * 5000):
        store.write_bytes("a/b.bin", data)
        assert store.read_bytes("a/b.bin") == data
        assert b"".join(store.read_chunks("a/b.bin")) == data


def test_a_store_opened_by_its_uri_is_the_same_store(store: Store) -> None:
    store.write_bytes("a", b"1")
    again = open_store(store.uri)
    assert again.uri == store.uri
    assert again.read_bytes("a") == b"1"


def test_a_missing_object_is_said_to_be_missing(store: Store) -> None:
    store.write_bytes("folder/a", b"1")
    for path in ("nothing", "folder", "folder/a/b", "folder/b"):
        assert not store.exists(path)
        for read in (store.read_bytes, store.fetch, lambda path: list(store.read_chunks(path))):
            with pytest.raises(ObjectMissing, match=path):
                read(path)


def test_only_the_first_create_wins(store: Store) -> None:
    store.create_bytes("a/manifest.json", b"first")
    with pytest.raises(ObjectExists, match=r"a/manifest\.json"):
        store.create_bytes("a/manifest.json", b"second")
    assert store.read_bytes("a/manifest.json") == b"first"


def test_a_create_after_a_delete_wins_again(store: Store) -> None:
    store.create_bytes("a", b"first")
    store.delete("a")
    assert not store.exists("a")
    store.create_bytes("a", b"second")
    assert store.read_bytes("a") == b"second"


def test_a_write_replaces(store: Store) -> None:
    store.create_bytes("a", b"created, and longer")
    store.write_bytes("a", b"written")
    assert store.read_bytes("a") == b"written"


def test_deleting_nothing_is_no_error(store: Store) -> None:
    store.delete("a/b/c")


def test_a_listing_is_by_whole_segments_and_sorted(store: Store) -> None:
    for path in ("run/b", "run/a/x", "run/a.txt", "runner/c", "run/B", "ru"):
        store.write_bytes(path, path.encode())
    assert store.list("run") == [ObjectInfo(path, len(path)) for path in ("run/B", "run/a.txt", "run/a/x", "run/b")]
    assert store.list("run/a") == [ObjectInfo("run/a/x", 7)]
    assert [info.path for info in store.list()] == ["ru", "run/B", "run/a.txt", "run/a/x", "run/b", "runner/c"]
    assert store.list("nowhere") == store.list("ru") == store.list("run/a.txt") == []


def test_a_listing_of_more_than_a_page_is_whole(store: Store) -> None:
    paths = [f"many/{number:04d}" for number in range(1003)]
    for path in paths:
        store.write_bytes(path, b"")
    assert [info.path for info in store.list("many")] == paths


@pytest.mark.parametrize("path", ["with space/ü ß", "a+b=c&d", "100%25", "日本/語", "time:12:00?x#y", "~tilde/'quote'"])
def test_awkward_names_survive(store: Store, path: str) -> None:
    store.write_bytes(path, b"1")
    assert [info.path for info in store.list()] == [path]
    assert store.read_bytes(path) == b"1"
    assert store.fetch(path).name == path.rsplit("/", 1)[-1]


@pytest.mark.parametrize("path", OUTSIDE)
def test_a_path_out_of_the_store_is_refused_everywhere(store: Store, path: str, tmp_path: Path) -> None:
    local = tmp_path / "local"
    local.write_bytes(b"1")
    calls: list[Callable[[], object]] = [
        lambda: store.read_bytes(path),
        lambda: list(store.read_chunks(path)),
        lambda: store.write_bytes(path, b""),
        lambda: store.create_bytes(path, b""),
        lambda: store.exists(path),
        lambda: store.delete(path),
        lambda: store.upload(local, path),
        lambda: store.fetch(path),
        lambda: store.fetch_tree(path),
        lambda: store.list(path or ".."),
    ]
    for call in calls:
        with pytest.raises(InputError, match="not a path inside a store"):
            call()


def test_a_large_file_is_uploaded_whole(store: Store, local_file: Callable[[bytes], Path]) -> None:
    data = b"0123456789abcdef" * (20 << 16)  # 20 MiB: a multipart upload on S3
    store.upload(local_file(data), "weights/model.safetensors")
    assert store.list("weights") == [ObjectInfo("weights/model.safetensors", len(data))]
    assert store.fetch("weights/model.safetensors").read_bytes() == data


def test_a_fetched_tree_holds_the_folder_and_nothing_else(store: Store) -> None:
    for path in ("model/config.json", "model/deep/weights", "models/other"):
        store.write_bytes(path, path.encode())
    tree = store.fetch_tree("model")
    assert {file.relative_to(tree).as_posix() for file in tree.rglob("*") if file.is_file()} == {
        "config.json",
        "deep/weights",
    }
    assert (tree / "deep/weights").read_bytes() == b"model/deep/weights"


def test_what_is_fetched_is_never_stale(store: Store) -> None:
    for data in (b"old", b"new", b"old"):
        store.write_bytes("model/config.json", data)
        assert store.fetch("model/config.json").read_bytes() == data
        assert (store.fetch_tree("model") / "config.json").read_bytes() == data


def test_fetching_an_empty_folder_is_an_error(store: Store) -> None:
    store.write_bytes("model/a", b"")
    store.delete("model/a")
    for prefix in ("model", "nowhere"):
        with pytest.raises(ObjectMissing, match=prefix):
            store.fetch_tree(prefix)


CREATE = """
import sys
from assay.contracts.errors import ObjectExists
from assay.storage import open_store
store = open_store(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
try:
    store.create_bytes("stage/key/manifest.json", sys.argv[2].encode() * 100_000)
    print("won")
except ObjectExists:
    print("lost")
"""


def test_of_many_processes_that_create_one_object_one_wins(store_uri: str) -> None:
    names = [f"{number:02d}" for number in range(8)]
    argv = [sys.executable, "-c", CREATE, store_uri]
    racers = [
        subprocess.Popen([*argv, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for name in names
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    results = dict(zip(names, [racer.communicate()[0].strip() for racer in racers], strict=True))
    winners = [name for name, result in results.items() if result == "won"]
    assert sorted(results.values()) == ["lost"] * 7 + ["won"]
    assert open_store(store_uri).read_bytes("stage/key/manifest.json") == winners[0].encode() * 100_000
