"""A run that goes back: with half the learning rate, nothing lost, and the same bytes however often it is killed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from assay.contracts.records import TraceRow
from assay.contracts.training import TrainSpec
from assay.guards.findings import ended_run
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.storage.tables import rows_from_parquet
from assay.training.history import MetricRow, read_metrics, read_traces
from assay.training.rollback import Rollback
from tests.faults.training.toy_run import (
    SETTINGS,
    STEPS,
    Killed,
    MortalStore,
    left_behind,
    outcome,
    resumes_to_the_same_bytes,
    trainer,
)

QUIET = {"truncation": {"metric": "truncated_share", "warn": 1.5, "stop": 2.0}}
BACK: dict[str, Any] = {"metric": "kl", "warn": 5e-3, "stop": 1e-2, "patience_steps": 1, "action": "rollback"}


def rules(**changes: Any) -> dict[str, Any]:
    return {"guards": {**QUIET, "kl": BACK | changes}}


def artifact(root: Path) -> Artifact:
    return Artifact(FileStore(root), "train", "0" * 20)


def rows(root: Path, path: str, kind: Any) -> list[Any]:
    return rows_from_parquet(artifact(root).read_bytes(path), kind)


def test_a_run_goes_back_to_the_last_good_checkpoint_with_half_the_learning_rate(run: Any, tmp_path: Path) -> None:
    """F23. With the warm-up over, steps 2 and 3 had 3e-3, then 1.5e-3, then 0.75e-3."""
    seen: list[tuple[int, float]] = []
    result = run(
        FileStore(tmp_path), lambda done, metrics: seen.append((done - 1, metrics["learning_rate"])), **rules()
    )
    assert result.rollbacks == [Rollback("kl", 4, 2), Rollback("kl", 5, 2)]
    assert [rate for step, rate in seen if step == 3] == [3e-3, 1.5e-3, 0.75e-3]
    assert [step for step, _ in seen] == [0, 1, 2, 3, 2, 3, 4, 2, 3, 4, 5]


def test_after_its_last_return_the_rule_stops_the_run(run: Any, tmp_path: Path) -> None:
    result = run(FileStore(tmp_path), **rules(max_rollbacks=1))
    assert result.stopped
    assert result.rollbacks == [Rollback("kl", 4, 2)]
    severities = [(item.id, item.severity) for item in result.findings if item.id.startswith("rollback/")]
    assert severities == [("rollback/kl", "warning"), ("rollback/kl", "error")]
    assert "its 1 rollbacks are used up" in result.findings[-1].message
    assert any(map(ended_run, result.findings)), "exit code 10 and the nightly ask for it"


def test_what_was_thrown_away_is_on_record_and_counts_nowhere(run: Any, tmp_path: Path) -> None:
    result = run(FileStore(tmp_path), **rules())
    assert sorted(result.metrics) == list(range(STEPS))
    traces = read_traces(artifact(tmp_path))
    assert len({(row.problem_id, row.request_seed) for row in traces}) == len(traces), "no completion counts twice"
    assert {row.rollback for row in traces} == {0}
    first = rows(tmp_path, "trace/rollback-001/000002-000004.parquet", TraceRow)
    second = rows(tmp_path, "trace/rollback-002/000002-000005.parquet", TraceRow)
    assert {(row.step, row.rollback) for row in first} == {(2, 1), (3, 1)}
    assert {(row.step, row.rollback) for row in second} == {(2, 2), (3, 2), (4, 2)}
    kl = [row for row in rows(tmp_path, "metrics/rollback-001/000002-000004.parquet", MetricRow) if row.name == "kl"]
    assert [(row.step, row.rollback, row.value > 1e-2) for row in kl] == [(2, 1, False), (3, 1, True)]
    assert read_metrics(artifact(tmp_path))[3]["kl"] < 1e-2


def test_a_run_may_go_back_to_its_start(run: Any, tmp_path: Path) -> None:
    result = run(FileStore(tmp_path), **rules(stop=2e-3, warn=1e-3, max_rollbacks=1), checkpoint_every_steps=4)
    assert result.rollbacks == [Rollback("kl", 3, 0)]
    assert result.metrics[0]["kl"] == 0
    assert result.metrics[0]["learning_rate"] == pytest.approx(0.5e-3)
    assert not any("step-000000" in info.path for info in artifact(tmp_path).list("checkpoints"))


def test_going_back_halves_the_critics_learning_rate_too(make_model: Any, byte_tokenizer: Any, tmp_path: Path) -> None:
    """And a run that is resumed has it halved as often."""
    settings = SETTINGS | rules() | {"loss": {"objective": "ppo"}}
    rates = []
    for _ in range(2):
        run = trainer(make_model, byte_tokenizer, FileStore(tmp_path), TrainSpec.model_validate(settings))
        count = len(run.run(lambda *_: None).rollbacks)
        assert count > 0
        assert run.critic is not None
        rates.append(run.critic.rate_scale * 2**count)
    assert rates == [1.0, 1.0]


@pytest.mark.slow
@pytest.mark.parametrize("lag", [0, 1])
def test_a_run_that_goes_back_and_is_killed_at_any_write_ends_with_the_same_bytes(
    run: Any, tmp_path: Path, lag: int
) -> None:
    """Before, during and after each rollback."""
    settings = rules(stop=5e-3, warn=2e-3) | {"rollout": {"max_staleness_steps": lag}}
    assert resumes_to_the_same_bytes(run, tmp_path, every=1 + 2 * lag, **settings).rollbacks


@pytest.mark.slow
def test_a_run_killed_twice_around_a_rollback_ends_with_the_same_bytes(run: Any, tmp_path: Path) -> None:
    whole = MortalStore(tmp_path / "whole")
    expected = run(whole, **rules())
    for first, second in [(12, 3), (14, 2), (16, 5), (18, 1)]:
        root = tmp_path / f"killed-{first}-{second}"
        for dies_at in (first, second):
            with pytest.raises(Killed):
                run(MortalStore(root, dies_at), **rules())
        assert outcome(run(FileStore(root), **rules())) == outcome(expected)
        assert left_behind(root) == left_behind(tmp_path / "whole")
