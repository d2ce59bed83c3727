"""SIGTERM: a checkpoint of the very step, exit with the retryable error, and no trace of it in the result."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from assay.contracts.errors import Retryable
from assay.contracts.scale import Rank
from assay.contracts.training import TrainSpec
from assay.storage.files import FileStore
from assay.training.checkpoint import require_checkpoint
from assay.training.policy import Policy
from assay.training.rollout import RolloutCollector
from assay.training.world import World
from tests.faults.training.test_rollbacks import rules
from tests.faults.training.toy_run import SETTINGS, STEPS, left_behind, outcome, trainer


def ended_after(done: int) -> Any:
    """A report that sends SIGTERM between step `done` and the next."""

    def report(now: int, _: dict[str, float]) -> None:
        if now == done:
            os.kill(os.getpid(), signal.SIGTERM)

    return report


def ends_as_the_one_left_alone(run: Any, folder: Path, step: int, **settings: Any) -> None:
    """The run that was ended at a step resumes there, and ends with the bytes of one that nobody ended."""
    resumed = run(FileStore(folder / "ended"), **settings)
    assert resumed.resumed_from_step == step
    assert outcome(resumed) == outcome(run(FileStore(folder / "whole"), **settings))
    assert left_behind(folder / "ended") == left_behind(folder / "whole")


@pytest.mark.parametrize("lag", [0, 2])
@pytest.mark.parametrize("done", range(1, STEPS))
def test_a_run_that_is_ended_resumes_at_that_step_and_leaves_the_same_bytes(
    run: Any, tmp_path: Path, done: int, lag: int
) -> None:
    """Also between two checkpoints: rows that are not yet written, and rollouts in the making, are in the state."""
    settings = {"rollout": {"max_staleness_steps": lag}}
    with pytest.raises(Retryable, match=f"step {done} is its checkpoint"):
        run(FileStore(tmp_path / "ended"), ended_after(done), **settings)
    ends_as_the_one_left_alone(run, tmp_path, done, **settings)


def test_sampling_is_broken_off(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step may take longer than the grace period; what it has changed so far is nothing."""
    collect = RolloutCollector.collect

    def ended(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> Any:
        if (purpose, step) == ("rollout", 3):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        return collect(self, purpose, step, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(RolloutCollector, "collect", ended)
        begun = time.monotonic()
        with pytest.raises(Retryable, match="step 3 is its checkpoint"):
            run(FileStore(tmp_path / "ended"))
        assert time.monotonic() - begun < 20
    ends_as_the_one_left_alone(run, tmp_path, 3)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_run_that_is_ended_while_it_scores_a_step_learns_from_that_step_when_it_resumes(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    """Where it samples ahead, the next step's rollouts took its place, and were made a second time (F01)."""
    settings = {"rollout": {"max_staleness_steps": lag}}
    logprobs = Policy.logprobs

    def ended(self: Policy, items: Any, model: Any) -> Any:
        if self.updates == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return logprobs(self, items, model)

    with monkeypatch.context() as patched:
        patched.setattr(Policy, "logprobs", ended)
        with pytest.raises(Retryable, match="step 3 is its checkpoint"):
            run(FileStore(tmp_path / "ended"), **settings)
    ends_as_the_one_left_alone(run, tmp_path, 3, **settings)


@pytest.mark.parametrize("lag", [1, 2])
def test_so_does_one_that_is_ended_while_it_waits_for_a_step(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lag: int
) -> None:
    settings = {"rollout": {"max_staleness_steps": lag}, "validate_every_steps": STEPS, "checkpoint_every_steps": STEPS}
    collect = RolloutCollector.collect

    def ended(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> Any:
        if (purpose, step) == ("rollout", 3):
            time.sleep(1.5)
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.5)
        return collect(self, purpose, step, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(RolloutCollector, "collect", ended)
        with pytest.raises(Retryable, match="step 3 is its checkpoint"):
            run(FileStore(tmp_path / "ended"), **settings)
    ends_as_the_one_left_alone(run, tmp_path, 3, **settings)


def test_who_watches_a_run_that_was_ended_between_checkpoints_hears_of_every_step(run: Any, tmp_path: Path) -> None:
    """Rows that lie in the state alone are no part yet from which they could be read."""
    settings, heard = {"checkpoint_every_steps": 3}, dict[int, Any]()
    with pytest.raises(Retryable):
        run(FileStore(tmp_path), ended_after(5), **settings)
    result = run(FileStore(tmp_path), resumed=heard.update, **settings)
    assert heard == {step: result.metrics[step] for step in range(5)}
    (folder,) = tmp_path.glob("train/*/tensorboard")
    board = EventAccumulator(str(folder)).Reload()
    assert [event.step for event in board.Scalars("train/kl")] == list(range(STEPS))


class OneIsLate(World):
    """A world whose other process does not have its rollouts in time."""

    def gather(self, value: Any) -> list[Any]:
        return [value, "the other's rollouts were not there"] if isinstance(value, str) else [value]


def test_of_several_processes_all_save_or_none_does(make_model: Any, byte_tokenizer: Any, tmp_path: Path) -> None:
    """F14: one saves, which takes all of them, and another has given up."""
    spec = TrainSpec.model_validate(SETTINGS)
    ended = trainer(make_model, byte_tokenizer, FileStore(tmp_path), spec)
    ended.policy.world = OneIsLate(Rank())
    with pytest.raises(Retryable, match=r"resumes from its last checkpoint .the other's rollouts were not there"):
        ended.run(ended_after(3))
    require_checkpoint(ended.artifact, 2)


def test_rollouts_that_take_too_long_are_not_waited_for_and_the_last_checkpoint_holds(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = {"rollout": {"max_staleness_steps": 1}}
    collect = RolloutCollector.collect

    def slow(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> Any:
        time.sleep(3 if (purpose, step) == ("rollout", 4) else 0)
        return collect(self, purpose, step, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(RolloutCollector, "collect", slow)
        patched.setattr("assay.training.run_state.IN_FLIGHT_S", 0.1)
        with pytest.raises(Retryable, match="resumes from its last checkpoint"):
            run(FileStore(tmp_path / "ended"), ended_after(3), **settings)
    ends_as_the_one_left_alone(run, tmp_path, 2, **settings)


@pytest.mark.slow
def test_a_run_that_goes_back_and_is_ended_anywhere_takes_the_same_turns(run: Any, tmp_path: Path) -> None:
    """The checkpoint of a run that was ended is none that a rollback could choose."""
    expected = outcome(run(FileStore(tmp_path / "whole"), **rules()))
    for count in range(1, 11):
        root, left = tmp_path / f"ended-{count}", [count]

        def report(*_: Any, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGTERM)

        with pytest.raises(Retryable):
            run(FileStore(root), report, **rules())
        assert outcome(run(FileStore(root), **rules())) == expected, count
        assert left_behind(root) == left_behind(tmp_path / "whole"), count
