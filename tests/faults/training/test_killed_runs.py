"""A run killed at any write to its store, and resumed, ends with the bytes of a run that was left alone."""

from __future__ import annotations

import json
from pathlib import Path
from statistics import fmean
from typing import Any, get_args

import pytest

from assay.contracts.training import GuardMetric, TrainSpec
from assay.curriculum.schedule import make_schedule
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.training.checkpoint import stored_checkpoints
from assay.training.history import read_traces
from tests.faults.training.toy_run import (
    SETTINGS,
    STEPS,
    Killed,
    MortalStore,
    left_behind,
    outcome,
    prompts,
    resumes_to_the_same_bytes,
)


@pytest.mark.slow
def test_a_run_killed_at_any_write_resumes_to_the_same_bytes(run: Any, tmp_path: Path) -> None:
    """Weights, moments, traces, metrics, validation, findings and schedule; F18."""
    whole = MortalStore(tmp_path / "whole")
    expected = run(whole)
    assert expected.steps_done == STEPS
    assert len(expected.findings) == 1
    assert whole.changes > 15
    files = left_behind(tmp_path / "whole")
    for dies_at in range(whole.changes):
        root = tmp_path / f"killed-{dies_at}"
        with pytest.raises(Killed):
            run(MortalStore(root, dies_at))
        found = run(FileStore(root))
        assert found.resumed_from_step in (0, 2, 4, 6)
        assert outcome(found) == outcome(expected), dies_at
        assert left_behind(root) == files, dies_at


def test_the_run_that_is_killed_is_one_that_moves(run: Any, tmp_path: Path) -> None:
    """Equal bytes would prove little of a run whose groups never differ; step 0 is exactly the reference (F09, F25)."""
    result = run(FileStore(tmp_path))
    assert all(row["updates"] == 1 and row["grad_norm"] > 0 for row in result.metrics.values())
    assert result.metrics[0]["kl"] == 0
    assert result.metrics[0]["logprob_gap_mean"] < 1e-5
    assert result.metrics[STEPS - 1]["kl"] > 1e-4
    assert any(row["mixed_group_share"] > 0 for row in result.metrics.values())


def test_every_step_logs_what_a_guard_may_name(run: Any, tmp_path: Path) -> None:
    for row in run(FileStore(tmp_path)).metrics.values():
        seldom = {"validation_accuracy", "validation_fall_se"}
        of_critics = {"value_loss", "value_explained", "value_grad_norm"}
        assert set(row) | seldom | of_critics == set(get_args(GuardMetric))


def test_a_resumed_run_counts_the_time_of_the_attempts_before_it(run: Any, tmp_path: Path) -> None:
    """Else every preemption would make a run look cheaper than it was."""
    first = run(FileStore(tmp_path))
    assert first.seconds > 0
    assert (
        run(FileStore(tmp_path)).seconds
        >= json.loads(Artifact(FileStore(tmp_path), "train", "0" * 20).read_bytes("scratch/resume/state.json"))[
            "state"
        ]["seconds"]
    )


def test_a_finished_run_started_again_does_nothing(run: Any, tmp_path: Path) -> None:
    first = run(FileStore(tmp_path))
    files = left_behind(tmp_path)
    again = MortalStore(tmp_path)
    second = run(again)
    assert again.changes == 0
    assert second.resumed_from_step == STEPS
    assert outcome(second) == outcome(first)
    assert left_behind(tmp_path) == files


@pytest.mark.parametrize("lag", [0, 1])
def test_groups_that_are_sampled_on_and_replaced_are_so_again_after_a_kill(run: Any, tmp_path: Path, lag: int) -> None:
    """Also where they are made ahead, by a schedule that learns from them."""
    chunks = {"chunk_samples": 2, "correct": 1, "wrong": 1, "max_samples": 6}
    prompts = {"allocation": "until_mixed", "until_mixed": chunks, "replacement_rounds": 2, "order": "self_paced"}
    settings = {"prompts": prompts, "rollout": {"max_staleness_steps": lag}}
    expected = resumes_to_the_same_bytes(run, tmp_path, first=1, every=5, **settings)
    assert len({row["samples"] for row in expected.metrics.values()}) > 1


def test_only_the_best_the_even_ones_and_the_last_checkpoint_are_kept(run: Any, tmp_path: Path) -> None:
    """And a kill changes nothing about which."""
    settings = {"keep_checkpoints": 1, "checkpoint_every_steps": 1}
    expected = resumes_to_the_same_bytes(run, tmp_path, first=4, every=7, **settings)
    kept = stored_checkpoints(Artifact(FileStore(tmp_path / "whole"), "train", "0" * 20))
    best = max(expected.validation, key=lambda step: (expected.validation[step], -step))
    assert kept == sorted({best, STEPS})
    assert len(expected.validation) == STEPS, "validation is not left out at a checkpoint"


def test_a_validation_that_nobody_could_judge_is_told_of_and_is_no_accuracy(
    run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F19: a verifier that is down once must not make the best checkpoint look like the worst."""
    monkeypatch.setattr("assay.training.loop.accuracy", lambda _: None)
    result = run(FileStore(tmp_path))
    assert result.validation == {}
    assert not any("validation_accuracy" in row for row in result.metrics.values())
    assert [item.id for item in result.findings].count("F19/validation") == STEPS // 2


def test_the_pass_rate_is_that_of_the_prompts_that_were_chosen(run: Any, tmp_path: Path) -> None:
    """Those that were replaced too, and none that stepped in: how many did depends on answers, and would bias it."""
    settings = {"prompts": {"replacement_rounds": 2}, "temperature": 0.5}
    metrics = run(FileStore(tmp_path), **settings).metrics
    rows = read_traces(Artifact(FileStore(tmp_path), "train", "0" * 20))
    schedule = make_schedule(prompts("train", 9), None, TrainSpec.model_validate(SETTINGS | settings), seed=11)
    stepped_in = 0
    for step in range(STEPS):
        found = {group.prompt.id: list[bool]() for group in schedule.select(step)}
        for row in (row for row in rows if row.step == step and row.problem_id in found):
            found[row.problem_id].append(row.status == "correct")
        assert metrics[step]["pass_rate"] == pytest.approx(fmean(fmean(answers) for answers in found.values()))
        stepped_in += sum(row.step == step and row.problem_id not in found for row in rows)
    assert stepped_in > 0
