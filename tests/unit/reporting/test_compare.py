"""Two runs side by side."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from assay.contracts.report import ReportData
from assay.contracts.summary import Metric
from assay.reporting import compare_summaries
from assay.reporting.compare import move

Make = Callable[..., ReportData]


def metric(value: float, low: float, high: float) -> Metric:
    return Metric(value=value, ci_low=low, ci_high=high, n=100)


def test_symmetric_intervals_add_in_quadrature() -> None:
    """The closed form that MOVER has for intervals ± h: d ± √(h_a² + h_b²)."""
    change, low, high = move(metric(0.4, 0.37, 0.43), metric(0.6, 0.56, 0.64))
    assert (change, low, high) == pytest.approx((0.2, 0.15, 0.25))


def test_the_interval_covers_a_known_difference_19_times_in_20() -> None:
    """Against simulation: Wilson intervals of two shares, p = 0.9 and 0.8, n = 60."""
    rng = np.random.default_rng(0)
    covered = []
    for a, b in zip(rng.binomial(60, 0.9, 4000), rng.binomial(60, 0.8, 4000), strict=True):
        _, low, high = move(wilson(a, 60), wilson(b, 60))
        covered.append(low <= -0.1 <= high)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.015)


def wilson(k: int, n: int) -> Metric:
    p, z = k / n, 1.96
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return metric(p, centre - half, centre + half)


def test_a_run_against_itself_shows_no_difference(report: ReportData) -> None:
    """F29."""
    text = compare_summaries(report.summary, report.summary)
    rows = [line for line in text.splitlines() if line.startswith("| sums/") or line.startswith("| pooled/")]
    assert rows
    assert all("no evidence of a difference" in row for row in rows)


def test_arms_and_metrics_of_one_run_only_are_named(make: Make) -> None:
    a, b = make(arms=("grpo", "old")).summary, make(arms=("grpo",), tasks=("sums",)).summary
    text = compare_summaries(a, b)
    assert "## old\n\nOnly in a." in text
    assert "| chains/pass@1" in text
    assert "in one run only" in text


def test_every_arm_and_metric_of_both_runs_is_there(make: Make) -> None:
    a, b = make().summary, make(arms=("grpo", "new")).summary
    text = compare_summaries(a, b)
    for name in ("base", "grpo", "dr_grpo", "easy to hard", "new"):
        assert f"\n## {name}\n" in text
    assert text.count("| pooled/pass@1") == 5
