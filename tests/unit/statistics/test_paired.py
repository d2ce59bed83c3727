"""Paired comparisons agree with peers, keep their promises in simulation, and know what a second seed is worth."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test, ttest_rel
from statsmodels.stats.contingency_tables import mcnemar

from assay.contracts.errors import InputError
from assay.statistics.paired import Difference, mcnemar_exact, paired_bootstrap, sign_flip


def _right(only_a: int, only_b: int, both: int = 5, neither: int = 7) -> tuple[list[int], list[int]]:
    a_Q = [1] * only_a + [0] * only_b + [1] * both + [0] * neither
    b_Q = [0] * only_a + [1] * only_b + [1] * both + [0] * neither
    return a_Q, b_Q


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (1, 0), (5, 5), (9, 2), (2, 9), (60, 41), (30, 0)])
def test_mcnemar_agrees_with_statsmodels(only_a: int, only_b: int) -> None:
    result = mcnemar_exact(*_right(only_a, only_b))
    theirs = mcnemar([[5, only_a], [only_b, 7]], exact=True).pvalue
    assert (result.only_a, result.only_b) == (only_a, only_b)
    assert result.p_value == pytest.approx(theirs)


@pytest.mark.parametrize(("only_a", "only_b"), [(3, 1), (9, 2), (4, 4), (13, 0)])
def test_flipping_signs_of_right_and_wrong_is_mcnemar(only_a: int, only_b: int) -> None:
    a_Q, b_Q = _right(only_a, only_b)
    assert sign_flip(a_Q, b_Q, seed=0) == pytest.approx(mcnemar_exact(a_Q, b_Q).p_value)


def test_flipping_every_sign_agrees_with_scipy() -> None:
    rng = np.random.default_rng(3)
    a_Q, b_Q = rng.random(11).round(1), rng.random(11).round(1)
    theirs = permutation_test((a_Q, b_Q), lambda a, b: np.mean(a - b), permutation_type="samples", n_resamples=np.inf)
    assert sign_flip(a_Q, b_Q, seed=0) == pytest.approx(theirs.pvalue)


def test_flipping_some_signs_agrees_with_the_t_test_of_many_questions() -> None:
    rng = np.random.default_rng(4)
    a_Q = rng.random(400)
    for gain in (0.0, 0.02, 0.04):
        b_Q = a_Q - gain + rng.normal(0, 0.25, 400)
        assert sign_flip(a_Q, b_Q, seed=0, resamples=20_000) == pytest.approx(ttest_rel(a_Q, b_Q).pvalue, abs=0.015)


def test_of_one_run_the_interval_is_the_bootstraps_and_the_t_tests() -> None:
    rng = np.random.default_rng(6)
    a_Q, b_Q = rng.binomial(1, 0.6, 300), rng.binomial(1, 0.5, 300)
    ours = paired_bootstrap(a_Q, b_Q, seed=1)
    theirs = bootstrap(
        (a_Q - b_Q,), np.mean, n_resamples=10_000, method="percentile", random_state=2
    ).confidence_interval
    ts = ttest_rel(a_Q, b_Q).confidence_interval()
    assert ours.value == pytest.approx((a_Q - b_Q).mean())
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.008)
    assert (ours.low, ours.high) == pytest.approx((ts.low, ts.high), abs=0.005)
    assert (ours.n, ours.runs, ours.conditional) == (300, (1, 1), True)


def test_same_seed_same_numbers_and_another_seed_nearly_so() -> None:
    rng = np.random.default_rng(7)
    arm_SQ, baseline_SQ = rng.random((3, 100)), rng.random((2, 100))
    one, again, other = (paired_bootstrap(arm_SQ, baseline_SQ, seed=seed) for seed in (1, 1, 2))
    assert repr(one) == repr(again) != repr(other)
    assert (one.low, one.high) == pytest.approx((other.low, other.high), abs=0.01)


def test_swapping_the_sides_mirrors_the_difference() -> None:
    rng = np.random.default_rng(8)
    arm_SQ, baseline_SQ = rng.random((3, 200)), rng.random((3, 200)) - 0.1
    one, other = (paired_bootstrap(*sides, seed=1) for sides in ((arm_SQ, baseline_SQ), (baseline_SQ, arm_SQ)))
    assert one.value == pytest.approx(-other.value)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low), abs=0.01)


def test_runs_that_disagree_widen_the_interval() -> None:
    """F29: +4 points on every question of a set of 2,000 is luck if another seed of the same arm has −3."""
    base_Q = np.random.default_rng(9).binomial(1, 0.5, 2000).astype(float)
    shift = lambda points: np.clip(base_Q + np.array(points)[:, None], -1, 2)  # noqa: E731
    agreeing, disagreeing = shift([0.02, 0.021, 0.019]), shift([0.06, 0.03, -0.03])
    sure, unsure = (paired_bootstrap(arm_SQ, base_Q, seed=0) for arm_SQ in (agreeing, disagreeing))
    assert sure.value == pytest.approx(unsure.value)
    assert sure.low > 0 > unsure.low
    assert sure.p_value < 0.05 < unsure.p_value


def test_a_difference_that_never_varies_is_not_certain() -> None:
    """Three questions won three times is one chance in four, whatever a t-test says."""
    assert paired_bootstrap([1, 1, 1], [0, 0, 0], seed=0).p_value == 0.25


def test_equal_sides_do_not_differ() -> None:
    scores_Q = np.random.default_rng(1).random(50)
    assert paired_bootstrap(scores_Q, scores_Q, seed=0) == Difference(0, 0, 0, 1, 50, (1, 1))


@pytest.mark.parametrize(
    ("a", "b"),
    [([1, 0], [1]), ([1], [0]), ([[1, 0]], [[[1, 0]]]), ([1, float("nan")], [1, 0]), ([], []), ([[1, 0]], [[1, 0, 1]])],
)
def test_scores_that_cannot_be_paired_are_refused(a: list[float], b: list[float]) -> None:
    for test in (lambda: paired_bootstrap(a, b, seed=0), lambda: sign_flip(a, b, seed=0), lambda: mcnemar_exact(a, b)):
        with pytest.raises(InputError, match="scores"):
            test()


def test_mcnemar_refuses_partial_credit() -> None:
    with pytest.raises(InputError, match="paired_bootstrap"):
        mcnemar_exact([0.5, 1], [0, 1])


@pytest.mark.parametrize(("runs", "seed_deviation"), [(1, 0.0), (2, 0.03), (3, 0.03), (5, 0.03)])
def test_equal_arms_are_told_apart_no_oftener_than_promised(runs: int, seed_deviation: float) -> None:
    """F29: 300 pairs of arms whose runs differ by seed alone, 150 questions of 4 answers."""
    rng = np.random.default_rng(12)

    def drawn_arm(chances_Q: np.ndarray) -> np.ndarray:
        shifts_S1 = rng.normal(0, seed_deviation, (runs, 1))
        return rng.binomial(4, np.clip(chances_Q + shifts_S1, 0, 1)) / 4

    differences = []
    for trial in range(300):
        chances_Q = rng.beta(0.6, 0.6, 150)
        differences.append(paired_bootstrap(drawn_arm(chances_Q), drawn_arm(chances_Q), seed=trial, resamples=500))
    assert np.mean([found.low <= 0 <= found.high for found in differences]) >= 0.91
    assert np.mean([found.p_value < 0.05 for found in differences]) <= 0.09


def test_runs_taken_for_questions_would_tell_equal_arms_apart() -> None:
    """F29: what the runs' share of the variance is there for; without it half of these equal arms 'differ'."""
    rng, alarms = np.random.default_rng(13), []
    for _ in range(100):
        a_SQ, b_SQ = (rng.random((3, 2000)) + rng.normal(0, 0.03, (3, 1)) for _ in "ab")
        alarms.append(
            (sign_flip(a_SQ, b_SQ, seed=0, resamples=500), paired_bootstrap(a_SQ, b_SQ, seed=0, resamples=500).p_value)
        )
    blind, ours = (np.array(alarms) < 0.05).mean(axis=0)
    assert blind > 0.4
    assert ours <= 0.1
