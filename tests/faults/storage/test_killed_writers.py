"""kill -9 at any moment of a write leaves the old object or the new one, and nothing that a reader can see besides."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from assay.storage import Artifact, files
from assay.storage.files import FileStore
from assay.storage.store import INCOMING

OLD, NEW = b"old" * 1000, b"new!" * 300_000
TOUCHES_FILES = frozenset({files.__file__, shutil.__file__})

Write = Callable[[FileStore], object]


def _killed_at(moment: int, write: Write, root: Path) -> bool:
    """Run `write` in a process that is killed at the `moment`-th line of the code that touches files."""
    child = os.fork()
    if child == 0:
        left = moment

        def kill_when_due(_frame: FrameType, event: str, _: object) -> Any:
            nonlocal left
            left -= event == "line"
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return kill_when_due

        store = FileStore(root)
        sys.settrace(lambda frame, *_: kill_when_due if frame.f_code.co_filename in TOUCHES_FILES else None)
        write(store)
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _outcomes(write: Write, root: Path, prepare: Write) -> list[bytes | None]:
    """What a reader finds after a kill at each moment in turn, and last of all after no kill."""
    outcomes: list[bytes | None] = []
    killed = True
    while killed:
        folder = root / str(len(outcomes))
        prepare(FileStore(folder))
        killed = _killed_at(len(outcomes), write, folder)
        store = FileStore(folder)
        listed = {info.path: info.size_bytes for info in store.list()}
        found = store.read_bytes("run/object") if store.exists("run/object") else None
        assert listed == ({} if found is None else {"run/object": len(found)})
        outcomes.append(found)
    return outcomes


@pytest.mark.parametrize("name", ["write_bytes", "upload"])
def test_a_killed_overwrite_leaves_the_old_or_the_new(name: str, tmp_path: Path) -> None:
    """F18: a checkpoint that was there stays there until the next one is whole."""
    local = tmp_path / "local"
    local.write_bytes(NEW)
    write: Write = {
        "write_bytes": lambda store: store.write_bytes("run/object", NEW),
        "upload": lambda store: store.upload(local, "run/object"),
    }[name]
    outcomes = _outcomes(write, tmp_path, lambda store: store.write_bytes("run/object", OLD))
    assert len(outcomes) > 20
    assert set(outcomes) == {OLD, NEW}
    assert outcomes == sorted(outcomes, key=lambda found: found == NEW)


def test_a_killed_create_leaves_nothing_or_everything(tmp_path: Path) -> None:
    outcomes = _outcomes(lambda store: store.create_bytes("run/object", NEW), tmp_path, FileStore.list)
    assert len(outcomes) > 20
    assert set(outcomes) == {None, NEW}


def test_after_a_killed_create_the_next_one_wins(tmp_path: Path) -> None:
    moment, killed = 0, True
    while killed:
        store = FileStore(tmp_path / str(moment))
        killed = _killed_at(moment, lambda store: store.create_bytes("run/object", NEW), store.root)
        if not store.exists("run/object"):
            store.create_bytes("run/object", OLD)
        assert store.read_bytes("run/object") in (OLD, NEW)
        moment += 1


def test_a_writer_killed_halfway_through_the_bytes_is_not_seen(tmp_path: Path) -> None:
    store, pipe = FileStore(tmp_path / "store"), tmp_path / "pipe"
    store.write_bytes("run/object", OLD)
    os.mkfifo(pipe)
    child = os.fork()
    if child == 0:
        FileStore(store.root).upload(pipe, "run/object")
        os._exit(0)
    with pipe.open("wb", buffering=0) as source:
        source.write(b"half" * 1_000_000)  # returns when all but a pipe's buffer of it has been taken
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert sum(path.stat().st_size for path in (store.root / INCOMING).iterdir()) > 0
    assert store.read_bytes("run/object") == OLD
    assert [info.path for info in store.list()] == ["run/object"]


def test_a_reader_beside_a_busy_writer_never_sees_half(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    store.write_bytes("object", b"0" * 1_000_000)
    child = os.fork()
    if child == 0:
        writer = FileStore(tmp_path)
        while True:
            for digit in b"123456789":
                writer.write_bytes("object", bytes([digit]) * 1_000_000)
    try:
        seen = {store.read_bytes("object") for _ in range(300)}
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    seen.add(store.read_bytes("object"))
    assert all(len(data) == 1_000_000 and data == data[:1] * 1_000_000 for data in seen)


def test_a_stage_killed_before_its_commit_has_not_happened(tmp_path: Path) -> None:
    artifact = Artifact(FileStore(tmp_path), "train", "k")
    child = os.fork()
    if child == 0:
        Artifact(FileStore(tmp_path), "train", "k").write_bytes("weights", NEW)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert artifact.read_bytes("weights") == NEW
    assert artifact.manifest() is None
