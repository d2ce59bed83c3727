"""The main job, small: every stage does its real work through Kubeflow's local runner."""

from __future__ import annotations

import json
import math

import pytest

from assay.contracts.records import PromptRow, ScoredRow, TraceRow
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.storage.tables import rows_from_parquet
from tests.pipeline.conftest import SMALL, SmallRun, assay

pytestmark = pytest.mark.slow
ARMS = {"base", "base settings", "adaptive sampling"}


def artifacts(run: SmallRun, stage: str) -> list[Artifact]:
    store = open_store(str(run.root))
    keys = {info.path.split("/")[1] for info in store.list(stage)}
    return [Artifact(store, stage, key) for key in sorted(keys)]


def test_the_run_ends_well_and_prints_the_reports_path_last(small_run: SmallRun) -> None:
    assert small_run.process.returncode == 0, small_run.process.stderr
    assert small_run.process.stdout.splitlines()[-1] == str(small_run.out / "report.html")


def test_the_summary_has_every_arm_metric_and_stage(small_run: SmallRun) -> None:
    summary = json.loads((small_run.out / "summary.json").read_text())
    assert summary["schema"] == 1
    assert set(summary["arms"]) == set(summary["pooled"]) == ARMS
    metric = summary["arms"]["adaptive sampling"]["metrics"]["sums/pass@1"]
    assert 0 <= metric["ci_low"] <= metric["value"] <= metric["ci_high"] <= 1
    assert metric["n"] == 24
    assert set(metric["delta_vs_base"]) == {"value", "ci_low", "ci_high", "p_adjusted"}
    assert {stage["name"] for stage in summary["stages"]} >= {"prepare", "curriculum", "train base settings/seed0"}
    assert not any(stage["reused"] for stage in summary["stages"])


def test_the_gain_in_the_summary_is_the_difference_of_the_logged_verdicts(small_run: SmallRun) -> None:
    """An independent reading: plain means over the scored rows on disk."""
    summary = json.loads((small_run.out / "summary.json").read_text())
    rows = [
        row
        for artifact in artifacts(small_run, "rescore")
        for info in artifact.list()
        if info.path == "base/sums/scored.parquet"
        for row in rows_from_parquet(artifact.read_bytes(info.path), ScoredRow)
    ]
    sampled = [row.own.score for row in rows if row.sample.mode == "sampled"]
    assert math.isclose(summary["arms"]["base"]["metrics"]["sums/pass@1"]["value"], sum(sampled) / len(sampled))


def test_splits_share_no_question(small_run: SmallRun) -> None:
    (prepare,) = artifacts(small_run, "prepare")
    rows = rows_from_parquet(prepare.read_bytes("prompts.parquet"), PromptRow)
    assert len({row.question for row in rows}) == len(rows) == 48 + 8 + 24


def test_every_completion_is_traced_with_a_seed_of_its_own(small_run: SmallRun) -> None:
    """F01."""
    for train in artifacts(small_run, "train"):
        parts = [info.path for info in train.list("trace")]
        rows = [row for part in parts for row in rows_from_parquet(train.read_bytes(part), TraceRow)]
        assert len(rows) == 4 * 8 * 4
        assert len({row.request_seed for row in rows}) == len(rows)


def test_trainer_and_sampler_agree_on_the_first_step(small_run: SmallRun) -> None:
    """F09, F25."""
    for train in artifacts(small_run, "train"):
        rows = rows_from_parquet(train.read_bytes("trace/000000-000002.parquet"), TraceRow)
        gaps = [abs(row.logprob_sum_trainer - row.logprob_sum_sampler) for row in rows if row.step == 0]
        assert max(gaps) < 1e-3


def test_nothing_of_a_resume_is_left_and_every_file_is_in_the_manifest(small_run: SmallRun) -> None:
    for stage in ("prepare", "curriculum", "train", "export", "evaluate", "rescore", "report"):
        for artifact in artifacts(small_run, stage):
            assert artifact.verify() == ()
            assert artifact.list("scratch") == []


def test_a_second_run_does_nothing_and_says_so(small_run: SmallRun) -> None:
    where = ["--root", str(small_run.root), "--out", str(small_run.out.parent / "again")]
    process = assay("run", "configs/ablations/quickstart.yaml", *SMALL, *where)
    assert process.returncode == 0, process.stderr
    assert "everything is done already" in process.stderr
    summary = json.loads((small_run.out.parent / "again" / "summary.json").read_text())
    assert all(stage["reused"] for stage in summary["stages"])


def test_changing_one_arms_learning_rate_reruns_that_arm_and_the_report_only(small_run: SmallRun) -> None:
    change = "arms.adaptive sampling={prompts: {allocation: adaptive}, optimizer: {learning_rate: 2.0e-4}}"
    process = assay("plan", "configs/ablations/quickstart.yaml", *SMALL, change, "--root", str(small_run.root))
    assert "5 to run" in process.stdout.splitlines()[-1]


def test_compare_puts_two_runs_side_by_side(small_run: SmallRun) -> None:
    process = assay("compare", str(small_run.out), str(small_run.out))
    assert process.returncode == 0, process.stderr
    assert "adaptive sampling" in process.stdout
