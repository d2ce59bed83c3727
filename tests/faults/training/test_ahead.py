"""Sampling runs ahead of training: the lag is what it was set to, the bytes do not depend on speed or kills."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.errors import StageError
from assay.contracts.training import TrainSpec
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.training.history import read_traces
from assay.training.rollout import RolloutCollector
from tests.faults.training.toy_run import (
    SETTINGS,
    STEPS,
    left_behind,
    outcome,
    resumes_to_the_same_bytes,
    trainer,
)


def ahead(steps: int) -> dict[str, Any]:
    return {"rollout": {"max_staleness_steps": steps}}


@pytest.mark.parametrize("lag", [1, 2, STEPS + 2])
def test_every_step_learns_from_weights_of_so_many_steps_before_and_the_first_ones_of_the_start(
    run: Any, tmp_path: Path, lag: int
) -> None:
    """F14: staleness is bounded, constant, in every row, and corrected for."""
    result = run(FileStore(tmp_path), **ahead(lag))
    assert [row["staleness_steps"] for row in result.metrics.values()] == [min(step, lag) for step in range(STEPS)]
    rows = read_traces(Artifact(FileStore(tmp_path), "train", "0" * 20))
    assert {(row.step, row.staleness_steps) for row in rows} == {(step, min(step, lag)) for step in range(STEPS)}
    assert result.metrics[0]["importance_ratio_max"] == pytest.approx(1, abs=1e-4)
    assert result.metrics[STEPS - 1]["importance_ratio_max"] > 1.001


def test_a_lag_of_one_step_is_that_of_weights_one_step_older(run: Any, tmp_path: Path) -> None:
    """Step 0 is on policy in both runs, and trains both the same; step 1 is written by the start model in one alone."""
    now, late = run(FileStore(tmp_path / "now")), run(FileStore(tmp_path / "late"), **ahead(1))
    trained = "loss", "grad_norm", "kl", "ratio_max", "reward_mean", "logprob_gap_mean"
    assert [now.metrics[0][name] for name in trained] == [late.metrics[0][name] for name in trained]
    assert now.metrics[1]["logprob_gap_mean"] < 1e-5 < 1e-3 < late.metrics[1]["logprob_gap_mean"]
    assert now.validation[2] == pytest.approx(late.validation[2], abs=0.5)


@pytest.mark.parametrize("slow", ["rollout", "validation"])
def test_the_bytes_do_not_depend_on_how_fast_sampling_is(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    expected = outcome(run(FileStore(tmp_path / "fast"), **ahead(2)))
    collect = RolloutCollector.collect

    def slowly(self: RolloutCollector, purpose: str, *rest: Any) -> Any:
        time.sleep(0.2 if purpose == slow else 0)
        return collect(self, purpose, *rest)

    monkeypatch.setattr(RolloutCollector, "collect", slowly)
    assert outcome(run(FileStore(tmp_path / "slow"), **ahead(2))) == expected
    assert left_behind(tmp_path / "slow") == left_behind(tmp_path / "fast")


@pytest.mark.slow
@pytest.mark.parametrize("lag", [1, 3])
def test_a_run_that_samples_ahead_and_is_killed_at_any_write_resumes_to_the_same_bytes(
    run: Any, tmp_path: Path, lag: int
) -> None:
    """Rollouts that were made but not yet learnt from are in the checkpoint."""
    resumes_to_the_same_bytes(run, tmp_path, every=lag, **ahead(lag))


def test_what_the_sampler_dies_of_ends_the_run_with_its_own_words(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect = RolloutCollector.collect

    def failing(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> Any:
        if step == 3:
            raise StageError("the sampler lost its device")
        return collect(self, purpose, step, *rest)

    monkeypatch.setattr(RolloutCollector, "collect", failing)
    seen: list[int] = []
    with pytest.raises(StageError, match="lost its device"):
        run(FileStore(tmp_path), lambda done, _: seen.append(done), **ahead(2))
    assert max(seen) < 3


def test_a_sampler_that_hangs_is_not_waited_for_without_end(
    make_model: Any, byte_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F07: the run hung at the end of an epoch."""
    hangs = threading.Event()
    collect = RolloutCollector.collect

    def hanging(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> Any:
        if purpose == "rollout" and step == 2:
            hangs.wait(60)
        return collect(self, purpose, step, *rest)

    monkeypatch.setattr(RolloutCollector, "collect", hanging)
    spec = TrainSpec.model_validate(SETTINGS | ahead(1))
    hung = trainer(make_model, byte_tokenizer, FileStore(tmp_path), spec)
    hung.producer.patience_s = 2.0
    begun = time.monotonic()
    with pytest.raises(StageError, match=r"not there within 2 s"):
        hung.run(lambda *_: None)
    assert time.monotonic() - begun < 30
    hangs.set()


def test_no_more_is_sampled_than_will_be_learnt_from(run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: 7,400 samples were thrown away. The producer waits for the trainer, never the other way round for long."""
    asked: list[tuple[str, int]] = []
    collect = RolloutCollector.collect

    def counting(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> Any:
        asked.append((purpose, step))
        return collect(self, purpose, step, *rest)

    monkeypatch.setattr(RolloutCollector, "collect", counting)
    done = [0]

    def report(step: int, _: dict[str, float]) -> None:
        done[0] = step
        time.sleep(0.1)
        assert max(at for purpose, at in asked if purpose == "rollout") <= step + 2

    run(FileStore(tmp_path), report, **ahead(2))
    assert [step for purpose, step in asked if purpose == "rollout"] == list(range(STEPS))
