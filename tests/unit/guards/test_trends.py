"""Trends say how far a metric has come, and say the same after a kill."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportions_ztest

from assay.guards.trends import NEW_WEIGHT, Trends

NAMES = ("reward_mean", "completion_tokens_median", "grad_norm", "validation_accuracy")
ROWS = st.lists(st.dictionaries(st.sampled_from(NAMES), st.sampled_from([0.0, 0.2, 0.5, 1.0, math.nan])), max_size=20)


def play(name: str, values: list[float], problems: int = 64) -> list[dict[str, float]]:
    trends = Trends(problems)
    return [trends.observe({name: value}) for value in values]


def test_a_reward_that_falls_to_zero_loses_a_share_each_step() -> None:
    """F23: an exponential mean keeps (1 - w)^k of its level."""
    falls = [row["reward_fall"] for row in play("reward_mean", [0.5, 0.0, 0.0, 0.0])]
    assert falls == pytest.approx([1 - (1 - NEW_WEIGHT) ** k for k in range(4)])


def test_a_reward_that_was_never_worth_anything_cannot_fall() -> None:
    assert [row["reward_fall"] for row in play("reward_mean", [0.05, 0.0, -1.0])] == [0, 0, 0]


def test_a_gradient_is_measured_against_its_level_before() -> None:
    rows = play("grad_norm", [0.5, 0.5, 0.0, 46.75])
    assert [row["grad_norm_growth"] for row in rows] == pytest.approx([1, 1, 1, 93.5])


def test_a_fall_of_validation_is_counted_in_standard_errors() -> None:
    """F20: the z statistic of two proportions, from a library."""
    fall = play("validation_accuracy", [0.289, 0.2234], problems=5000)[1]["validation_fall_se"]
    z, _ = proportions_ztest([0.289 * 5000, 0.2234 * 5000], [5000, 5000])
    assert fall == pytest.approx(z, rel=1e-3)


def test_validation_that_falls_with_the_reward_is_no_divergence() -> None:
    trends = Trends(5000)
    trends.observe({"reward_mean": 0.6, "validation_accuracy": 0.3})
    assert trends.observe({"reward_mean": 0.1, "validation_accuracy": 0.1})["validation_fall_se"] == 0


def test_shorter_answers_that_earn_more_are_no_collapse() -> None:
    trends = Trends(64)
    trends.observe({"reward_mean": 0.3, "completion_tokens_median": 100.0})
    better = {"reward_mean": 0.6, "completion_tokens_median": 5.0}
    assert [trends.observe(better)["length_fall"] for _ in range(9)] == [0] * 9


def test_a_step_without_validation_says_nothing_about_it() -> None:
    assert "validation_fall_se" not in Trends(64).observe({"reward_mean": 0.3})


@given(ROWS, st.integers(0, 20))
def test_a_kill_changes_no_trend(rows: list[dict[str, float]], killed_after: int) -> None:
    whole, before, after = Trends(64), Trends(64), Trends(64)
    expected = [whole.observe(row) for row in rows]
    found = [before.observe(row) for row in rows[:killed_after]]
    after.restore(json.loads(json.dumps(before.state())))
    assert found + [after.observe(row) for row in rows[killed_after:]] == expected
