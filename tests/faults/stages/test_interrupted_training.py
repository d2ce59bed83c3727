"""kill -9 and SIGTERM at real training processes, and run again: exit codes, checkpoints, the same bytes in the end."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.contracts.errors import Retryable
from tests.faults.stages.small_training import TRAIN, learnt, run, start, trained, wait_for

FIRST, SECOND = (f"checkpoints/step-{step:06}/model.safetensors" for step in (2, 4))
GRACE_S = 20
AHEAD_AND_BACK = [
    "train.rollout.max_staleness_steps=1",
    "train.guards={rate: {metric: learning_rate, warn: 7e-5, stop: 7e-5, patience_steps: 1, action: rollback}}",
]
"""The rate of step 3, still warming up, trips the guard; after going back it is half, below the guard's bound."""

pytestmark = pytest.mark.slow


def interrupt(root: Path, changes: list[str], path: str, by: signal.Signals) -> int:
    """Train until soon after a file has appeared. Returns the exit code; nothing is committed."""
    artifact, process = trained(root, changes), start(TRAIN, root, changes)
    wait_for(artifact, path, process)
    time.sleep(0.2)
    process.send_signal(by)
    begun = time.monotonic()
    process.communicate(timeout=3 * GRACE_S)
    assert time.monotonic() - begun < GRACE_S
    assert artifact.manifest() is None
    return process.returncode


def test_a_training_that_is_killed_and_ended_ends_with_the_same_weights(
    whole: Path, fresh: Callable[[str], Path]
) -> None:
    root = fresh("interrupted")
    assert interrupt(root, [], FIRST, signal.SIGKILL) == -signal.SIGKILL
    assert interrupt(root, [], SECOND, signal.SIGTERM) == Retryable.exit_code
    run(TRAIN, root)
    assert learnt(trained(root)) == learnt(trained(whole))


def test_so_does_one_that_samples_ahead_and_goes_back(fresh: Callable[[str], Path]) -> None:
    undisturbed, root = fresh("undisturbed"), fresh("interrupted")
    run(TRAIN, undisturbed, AHEAD_AND_BACK)
    start_of_run = "scratch/resume/step-000000.json"
    assert interrupt(root, AHEAD_AND_BACK, start_of_run, signal.SIGTERM) == Retryable.exit_code
    assert interrupt(root, AHEAD_AND_BACK, SECOND, signal.SIGKILL) == -signal.SIGKILL
    run(TRAIN, root, AHEAD_AND_BACK)
    expected = learnt(trained(undisturbed, AHEAD_AND_BACK))
    assert any("rollback-001" in path for path in expected)
    assert learnt(trained(root, AHEAD_AND_BACK)) == expected
