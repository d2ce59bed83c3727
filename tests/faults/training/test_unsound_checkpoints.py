"""A checkpoint that was damaged, and weights that are no numbers: nothing is lost to either."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load

from assay.contracts.errors import InvariantError, ObjectCorrupt, Retryable
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.training.checkpoint import require_checkpoint, stored_checkpoints
from assay.training.history import read_metrics
from assay.training.paths import model_path
from assay.training.policy import Policy
from assay.training.rollback import Rollback
from tests.faults.training.test_ended_runs import ended_after
from tests.faults.training.toy_run import MortalStore

QUIET: dict[str, Any] = {"guards": {"kl": {"metric": "kl", "warn": 50.0, "stop": 100.0}}}


def artifact(root: Path) -> Artifact:
    return Artifact(FileStore(root), "train", "0" * 20)


@pytest.fixture
def spoilt(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`spoilt(n)`: the n-th update leaves NaN in the weights, of which its own metrics do not tell."""
    update = Policy.update

    def after(updates: int) -> None:
        def spoil(self: Policy) -> Any:
            stats = update(self)
            if self.updates == updates:
                with torch.no_grad():
                    next(iter(self.trained.values()))[5:50] = math.nan
            return stats

        monkeypatch.setattr(Policy, "update", spoil)

    return after


def test_a_damaged_checkpoint_costs_nothing_but_an_answer(run: Any, tmp_path: Path) -> None:
    """F18: one byte of it, and the run began anew and deleted every checkpoint and trace."""
    with pytest.raises(Retryable):
        run(FileStore(tmp_path), ended_after(5))
    path = "scratch/resume/step-000005.safetensors"
    whole, files = artifact(tmp_path).read_bytes(path), artifact(tmp_path).list()
    artifact(tmp_path).write_bytes(path, whole[:-1] + bytes([whole[-1] ^ 1]))
    again = MortalStore(tmp_path)
    with pytest.raises(ObjectCorrupt, match=path):
        run(again)
    assert again.changes == 0
    assert artifact(tmp_path).list() == files
    artifact(tmp_path).write_bytes(path, whole)
    assert run(FileStore(tmp_path)).resumed_from_step == 5


@pytest.mark.parametrize("updates", [3, 4])
def test_weights_that_are_not_finite_end_the_run_at_its_last_checkpoint(
    run: Any, tmp_path: Path, spoilt: Any, updates: int
) -> None:
    """F15. Of the step after them, or of the checkpoint itself."""
    spoilt(updates)
    result = run(FileStore(tmp_path), **QUIET)
    assert (result.steps_done, result.stopped, result.rollbacks) == (2, True, [Rollback("weights", 4, 2)])
    told = result.findings[-1]
    assert (told.id, told.failure, told.severity) == ("guard/weights", "F15", "error")
    assert "steps 2 to 3 are thrown away, and the run ends at its checkpoint of step 2" in told.message
    require_checkpoint(artifact(tmp_path), result.steps_done)
    assert stored_checkpoints(artifact(tmp_path)) == [2]
    assert all(tensor.isfinite().all() for tensor in load(artifact(tmp_path).read_bytes(model_path(2))).values())
    assert sorted(result.metrics) == sorted(read_metrics(artifact(tmp_path))) == [0, 1]
    again = MortalStore(tmp_path)
    assert (run(again, **QUIET).steps_done, again.changes) == (2, 0)


def test_before_any_checkpoint_they_are_an_error(run: Any, tmp_path: Path, spoilt: Any) -> None:
    spoilt(2)
    with pytest.raises(InvariantError, match="step 1: F15: the weights are not finite, before any checkpoint"):
        run(FileStore(tmp_path), **QUIET)
    assert not stored_checkpoints(artifact(tmp_path))


def test_a_run_that_is_ended_does_not_save_them(run: Any, tmp_path: Path, spoilt: Any) -> None:
    spoilt(3)
    with pytest.raises(Retryable, match=r"resumes from its last checkpoint \(its weights are not finite\)"):
        run(FileStore(tmp_path), ended_after(3), **QUIET)
    require_checkpoint(artifact(tmp_path), 2)
