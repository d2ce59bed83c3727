"""The tables of results."""

import dataclasses
import math
from collections.abc import Callable

import pytest
from statsmodels.stats.proportion import confint_proportions_2indep

from assay.contracts.report import KnowledgeFormat, ReportData
from assay.contracts.summary import Delta, Metric
from assay.reporting import words
from assay.reporting.tables import cell, comparisons, drift, essential, knowledge, matrix, models, tasks, truncation

Make = Callable[..., ReportData]


def of(model: str, format_: float, n: int = 200) -> KnowledgeFormat:
    return KnowledgeFormat(model, "sums", 0.6, format_, 0.5, 0.5, {}, 0.0, n)


@pytest.mark.parametrize(
    ("kept", "base", "n"), [(60, 80, 100), (70, 80, 100), (150, 160, 200), (1, 12, 200), (190, 170, 200)]
)
def test_drift_is_named_exactly_where_the_wald_interval_of_statsmodels_is_below_zero(
    kept: int, base: int, n: int
) -> None:
    """F04."""
    _, high = confint_proportions_2indep(kept, n, base, n, compare="diff", method="wald")
    assert bool(drift(of("arm", kept / n, n), of("base", base / n, n))) == (high < 0)


def test_the_base_model_cannot_drift_from_itself() -> None:
    assert drift(of("base", 0.1), of("base", 0.9)) == ""
    assert drift(of("arm", 0.1), None) == ""


@pytest.mark.parametrize(("share", "severity"), [(0.02, ""), (0.021, "warning"), (0.05, "warning"), (0.051, "error")])
def test_truncation_stands_out_above_two_and_five_percent(share: float, severity: str) -> None:
    """F11."""
    assert truncation(share) == severity


def test_knowledge_rows_go_by_task_with_the_base_model_first(report: ReportData) -> None:
    rows = knowledge(report.knowledge, models(report.summary))
    assert [row.task for row in rows] == ["chains"] * 4 + ["sums"] * 4
    assert rows[0].model == rows[4].model == "base"


def test_the_base_model_is_first_and_arms_keep_their_order(report: ReportData) -> None:
    """F34: rows are never ranked by score."""
    assert models(report.summary) == ["base", "grpo", "dr_grpo", "easy to hard"]


def test_one_task_has_no_pooled_table(make: Make) -> None:
    assert tasks(make(tasks=("sums",)).summary) == ["sums"]
    assert tasks(make().summary) == ["pooled", "sums", "chains"]


def test_the_primary_metric_is_the_first_column_and_truncation_the_last(report: ReportData) -> None:
    found = matrix(report.summary, "pooled")
    assert found.metrics == (
        "pass@1", "pass@2", "pass@4", "pass@8",
        "greedy", "greedy_strict", "greedy_flexible", "greedy_symbolic", "truncated",
    )  # fmt: skip
    assert found.questions.replace("\u00a0", " ") == "512 questions"


def test_only_the_ends_of_pass_at_k_take_a_column_of_the_page() -> None:
    assert essential(("pass@1", "pass@2", "pass@16", "greedy")) == [0, 2, 3]
    assert essential(("pass@4", "greedy")) == [0, 1]
    assert essential(()) == []


def test_a_metric_an_arm_lacks_is_an_empty_cell_not_a_zero(report: ReportData) -> None:
    arms = dict(report.summary.arms)
    arms["grpo"] = arms["grpo"].model_copy(update={"metrics": {}})
    found = matrix(report.summary.model_copy(update={"arms": arms}), "sums")
    assert {cell.value for cell in found.rows["grpo"]} == {""}


def test_a_value_that_is_not_finite_is_an_empty_cell() -> None:
    assert cell(Metric(value=math.nan, ci_low=math.nan, ci_high=math.nan, n=4), "pass@1").value == ""


def test_less_truncation_is_better() -> None:
    delta = Delta(value=-0.02, ci_low=-0.03, ci_high=-0.01, p_adjusted=0.001)
    metric = Metric(value=0.01, ci_low=0, ci_high=0.02, n=100, delta_vs_base=delta)
    assert cell(metric, "truncated").reading == "better"
    assert cell(metric, "pass@1").reading == "worse"


def test_comparisons_that_tell_arms_apart_come_first(report: ReportData) -> None:
    verdicts = [row.verdict for row in comparisons(report.summary)]
    assert verdicts == ["better", "worse", words.NO_EVIDENCE]


def test_a_model_unknown_to_the_summary_is_listed_last(report: ReportData) -> None:
    stray = dataclasses.replace(report.knowledge[0], model="stray", task="sums")
    rows = knowledge((*report.knowledge, stray), models(report.summary))
    assert rows[-1].model == "stray"
