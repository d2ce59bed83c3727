"""Training curves as lines."""

import math

from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.report import CurvePoint, ReportData
from assay.reporting.curves import curves, mean, thin, wants_log


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=400), st.integers(2, 60))
def test_thinning_keeps_both_extremes_and_the_order(values: list[float], most: int) -> None:
    """A one-step KL spike must survive however long the run (F32)."""
    line = list(enumerate(values))
    kept = thin(line, most)
    assert len(kept) <= max(most, 2)
    assert kept == sorted(set(kept))
    assert set(kept) <= set(line)
    assert {min(values), max(values)} <= {value for _, value in kept}


def test_the_mean_covers_only_steps_that_all_seeds_reached() -> None:
    """A run stopped by a guard must not bend the mean of the others."""
    assert mean([[(0, 1.0), (1, 2.0), (2, 9.0)], [(0, 3.0), (1, 4.0)]]) == [(0, 2.0), (1, 3.0)]


def test_values_that_are_not_finite_are_counted_not_drawn() -> None:
    points = [CurvePoint("a", 0, step, {"kl": math.nan if step == 1 else 0.1}) for step in range(3)]
    [curve] = curves(points, ["a"])
    assert curve.not_finite == 1
    assert curve.lines["a"][0] == [(0, 0.1), (2, 0.1)]


def test_a_metric_without_a_finite_value_is_still_reported() -> None:
    [curve] = curves([CurvePoint("a", 0, 0, {"kl": math.nan})], ["a"])
    assert (curve.lines, curve.not_finite) == ({}, 1)


def test_well_known_metrics_come_first_in_a_fixed_order(report: ReportData) -> None:
    names = [curve.metric for curve in curves(report.curves, ["grpo", "dr_grpo", "easy to hard"])]
    assert names[:6] == [
        "reward_mean", "validation_accuracy", "kl", "entropy", "grad_norm", "completion_tokens_mean",
    ]  # fmt: skip
    assert names[-2:] == ["reward_std", "step_seconds"]


def test_only_positive_values_over_three_decades_get_a_logarithmic_axis() -> None:
    def of(*values: float) -> bool:
        [curve] = curves([CurvePoint("a", 0, step, {"kl": value}) for step, value in enumerate(values)], ["a"])
        return wants_log(curve)

    assert of(0.01, 2685.0)
    assert not of(0.0, 2685.0)
    assert not of(0.5, 20.0)


def test_forty_arms_of_long_runs_stay_within_the_points_of_a_figure() -> None:
    points = [CurvePoint(f"a{arm}", 0, step, {"kl": math.sin(step)}) for arm in range(40) for step in range(500)]
    [curve] = curves(points, [f"a{arm}" for arm in range(40)])
    assert sum(len(line) for seeds in curve.lines.values() for line in seeds.values()) <= 5_000
