"""Whatever is done to it, a folder store answers like a dictionary."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from assay.contracts.errors import ObjectExists, ObjectMissing
from assay.storage import ObjectInfo
from assay.storage.files import FileStore

folders = st.lists(st.sampled_from(["a", "ab", "a.b", "ü", "..."]), max_size=3)
paths = st.builds(
    lambda parents, name: "/".join([*parents, name]), folders, st.sampled_from(["x.bin", "y.bin", "x.bin2"])
)
contents = st.binary(max_size=40)


class StoreIsADictionary(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = FileStore(self.root / "store")
        self.model: dict[str, bytes] = {}

    @rule(path=paths, data=contents)
    def write(self, path: str, data: bytes) -> None:
        self.store.write_bytes(path, data)
        self.model[path] = data

    @rule(path=paths, data=contents)
    def upload(self, path: str, data: bytes) -> None:
        (self.root / "local").write_bytes(data)
        self.store.upload(self.root / "local", path)
        self.model[path] = data

    @rule(path=paths, data=contents)
    def create(self, path: str, data: bytes) -> None:
        try:
            self.store.create_bytes(path, data)
            assert path not in self.model
            self.model[path] = data
        except ObjectExists:
            assert path in self.model

    @rule(path=paths)
    def delete(self, path: str) -> None:
        self.store.delete(path)
        self.model.pop(path, None)

    @rule(path=paths)
    def read(self, path: str) -> None:
        assert self.store.exists(path) == (path in self.model)
        try:
            assert self.store.read_bytes(path) == self.store.fetch(path).read_bytes() == self.model[path]
        except ObjectMissing:
            assert path not in self.model

    @rule(prefix=folders.map("/".join))
    def list_folder(self, prefix: str) -> None:
        inside = [
            path
            for path in self.model
            if path.split("/")[:-1][: len(parts := prefix.split("/") if prefix else [])] == parts
        ]
        assert self.store.list(prefix) == [ObjectInfo(path, len(self.model[path])) for path in sorted(inside)]

    @rule()
    def reopen(self) -> None:
        self.store = FileStore(self.root / "store")

    @invariant()
    def no_unfinished_write_is_left(self) -> None:
        assert list(self.root.glob("store/.assay-incoming/*")) == []

    def teardown(self) -> None:
        shutil.rmtree(self.root)


StoreIsADictionary.TestCase.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
TestFileStore = StoreIsADictionary.TestCase
