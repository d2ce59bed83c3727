"""SIGTERM and kill -9 on real training processes that sample ahead and go back: exit code, checkpoint, same bytes."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from assay.cli.options import load_plan
from assay.contracts.errors import Retryable
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from tests.faults.stages.test_killed_training import CONFIG, REPOSITORY, SMALL, TRAIN, stage, wait_for, weights

AHEAD = [*SMALL, "train.rollout.max_staleness_steps=1"]
BACK = [
    *AHEAD,
    "train.guards={kl: {metric: kl, warn: 1e-9, stop: 1e-6, patience_steps: 1, action: rollback, max_rollbacks: 1}}",
]

pytestmark = pytest.mark.slow


def prepared(root: Path, settings: list[str]) -> Artifact:
    for name in ("prepare", "curriculum"):
        assert stage(name, root, settings).wait(300) == 0
    return Artifact(open_store(str(root)), "train", load_plan(CONFIG, settings).node(TRAIN).key)


def end_after(artifact: Artifact, path: str, process: subprocess.Popen[bytes], by: signal.Signals) -> int:
    """Send a signal soon after a file has appeared. Returns the exit code."""
    wait_for(artifact, path, process)
    time.sleep(0.2)
    process.send_signal(by)
    begun = time.monotonic()
    code = process.wait(60)
    assert time.monotonic() - begun < 20, "the grace period is over"
    return code


@pytest.mark.parametrize("settings", [SMALL, AHEAD], ids=["on policy", "ahead"])
def test_a_training_that_is_asked_to_end_checkpoints_and_asks_to_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str]
) -> None:
    monkeypatch.chdir(REPOSITORY)
    whole, ended = prepared(tmp_path / "whole", settings), prepared(tmp_path / "ended", settings)
    assert stage(TRAIN, tmp_path / "whole", settings).wait(300) == 0
    process = stage(TRAIN, tmp_path / "ended", settings)
    checkpoint = "checkpoints/step-000002/model.safetensors"
    assert end_after(ended, checkpoint, process, signal.SIGTERM) == Retryable.exit_code
    assert ended.manifest() is None
    assert stage(TRAIN, tmp_path / "ended", settings).wait(300) == 0
    assert weights(ended.manifest()) == weights(whole.manifest())


def test_a_training_that_samples_ahead_and_goes_back_is_killed_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    whole, killed = prepared(tmp_path / "whole", BACK), prepared(tmp_path / "killed", BACK)
    assert stage(TRAIN, tmp_path / "whole", BACK).wait(300) == 0
    for path in ("scratch/resume/step-000000.json", "checkpoints/step-000002/model.safetensors"):
        end_after(killed, path, stage(TRAIN, tmp_path / "killed", BACK), signal.SIGKILL)
    assert stage(TRAIN, tmp_path / "killed", BACK).wait(300) == 0
    files = {entry.path: entry.sha256 for entry in whole.manifest().files}  # type: ignore[union-attr]
    again = {entry.path: entry.sha256 for entry in killed.manifest().files}  # type: ignore[union-attr]
    same = {path for path in files if path.startswith(("checkpoints/", "trace/"))}
    assert any("rollback-001" in path for path in same)
    assert {path: again[path] for path in same} == {path: files[path] for path in same}
