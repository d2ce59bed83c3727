"""summary.json against its schema."""

import json
import math
from collections.abc import Callable

import pytest

from assay.contracts.errors import DataError, InvariantError
from assay.contracts.report import ReportData
from assay.reporting import load_summary, summary_json

Make = Callable[..., ReportData]


def test_a_summary_survives_the_round_trip(report: ReportData) -> None:
    assert load_summary(summary_json(report.summary)) == report.summary


def test_the_file_has_exactly_the_documented_shape(report: ReportData) -> None:
    fields = json.loads(summary_json(report.summary))
    assert next(iter(fields)) == "schema"
    assert fields["schema"] == 1
    assert set(fields) == {
        "schema", "name", "verdict", "primary_metric", "arms", "pooled", "comparisons", "stages", "dropped",
    }  # fmt: skip
    arm = fields["arms"]["grpo"]
    assert set(arm) == {"seeds", "checkpoint", "metrics", "health", "gpu_hours", "train_hours"}
    metric = arm["metrics"]["sums/pass@1"]
    assert set(metric) == {"value", "ci_low", "ci_high", "n", "delta_vs_base"}
    assert set(metric["delta_vs_base"]) == {"value", "ci_low", "ci_high", "p_adjusted"}
    assert set(fields["stages"][0]) == {"name", "key", "reused", "seconds"}
    assert isinstance(arm["health"], list)
    assert fields["arms"]["base"]["metrics"]["sums/pass@1"]["delta_vs_base"] is None


def test_the_same_summary_gives_the_same_bytes(make: Make) -> None:
    assert summary_json(make().summary) == summary_json(make().summary)


def test_a_figure_that_is_not_finite_is_refused_by_name(report: ReportData) -> None:
    metrics = report.summary.arms["grpo"].metrics
    broken = metrics["sums/pass@1"].model_copy(update={"value": math.nan})
    arm = report.summary.arms["grpo"].model_copy(update={"metrics": {"sums/pass@1": broken}})
    summary = report.summary.model_copy(update={"arms": {"grpo": arm}})
    with pytest.raises(InvariantError, match=r"arms\.grpo\.metrics\.sums/pass@1\.value is nan"):
        summary_json(summary)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"schema": 2}', '{"schema": 1, "name": 3}', "null"])
def test_text_that_is_no_summary_is_a_data_error(text: str) -> None:
    with pytest.raises(DataError, match="not a summary of schema 1"):
        load_summary(text)
