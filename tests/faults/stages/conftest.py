"""What the trainings of this folder begin with, made once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.stages.small_training import REPOSITORY, TRAIN, run


@pytest.fixture(autouse=True)
def _from_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    """The quickstart names its model and tasks from there."""
    monkeypatch.chdir(REPOSITORY)


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store with problems and pass rates."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        root = tmp_path_factory.mktemp("prepared") / "root"
        root.mkdir()
        for name in ("prepare", "curriculum"):
            run(name, root)
        yield root


@pytest.fixture(scope="session")
def whole(prepared: Path) -> Path:
    """A store with a training that nobody disturbed."""
    root = prepared.with_name("whole")
    shutil.copytree(prepared, root)
    run(TRAIN, root)
    return root


@pytest.fixture
def fresh(prepared: Path, tmp_path: Path) -> Callable[[str], Path]:
    """`fresh(name)`: one more store to train in."""
    return lambda name: shutil.copytree(prepared, tmp_path / name)
