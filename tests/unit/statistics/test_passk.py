"""pass@k is what trying every subset gives, and unbiased."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations, pairwise
from math import comb

import numpy as np
import pytest
from scipy.stats import binom, bootstrap

from assay.contracts.errors import InputError
from assay.statistics.intervals import mean_interval_clustered
from assay.statistics.passk import pass_at_k, pass_at_k_curve


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_it_is_the_share_of_subsets_with_a_right_answer(n: int) -> None:
    """F27."""
    for c in range(n + 1):
        answers = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            subsets = [any(subset) for subset in combinations(answers, k)]
            assert pass_at_k(n, c, k) == pytest.approx(sum(subsets) / len(subsets), abs=1e-14)


@pytest.mark.parametrize(
    ("n", "c", "k"), [(1000, 3, 100), (1000, 500, 1), (4096, 1, 4096), (4096, 1, 7), (2000, 990, 1000)]
)
def test_it_stays_exact_for_many_answers(n: int, c: int, k: int) -> None:
    exact = 1 - Fraction(comb(n - c, k), comb(n, k))
    assert pass_at_k(n, c, k) == pytest.approx(float(exact), rel=1e-11)


def test_pass_at_1_is_the_share_of_right_answers() -> None:
    assert [pass_at_k(8, c, 1) for c in range(9)] == pytest.approx([c / 8 for c in range(9)])


def test_it_is_unbiased() -> None:
    """F27: its expectation over c ~ Binomial(n, p) is 1 − (1 − p)^k, which first-k of a lucky run is not."""
    for p in (0.02, 0.3, 0.9):
        for k in (1, 3, 10):
            expectation = sum(binom.pmf(c, 10, p) * pass_at_k(10, c, k) for c in range(11))
            assert expectation == pytest.approx(1 - (1 - p) ** k)


@pytest.mark.parametrize(("n", "c", "k"), [(8, 2, 9), (8, 2, 0), (8, 9, 1), (8, -1, 1), (0, 0, 1)])
def test_more_than_was_drawn_is_refused(n: int, c: int, k: int) -> None:
    with pytest.raises(InputError, match="pass@k"):
        pass_at_k(n, c, k)


def test_a_curve_refuses_a_k_some_question_cannot_answer() -> None:
    with pytest.raises(InputError, match="k = 8 with 4 answers"):
        pass_at_k_curve([8, 4], [1, 1], [1, 8])


def test_a_curve_starts_at_the_mean_and_rises() -> None:
    n_Q, c_Q = np.full(50, 16), np.random.default_rng(0).integers(0, 9, 50)
    curve = pass_at_k_curve(n_Q, c_Q, [1, 2, 4, 8, 16])
    answers_QS = [[1] * c + [0] * (16 - c) for c in c_Q]
    first = mean_interval_clustered(answers_QS)
    assert (curve[0].value, curve[0].low, curve[0].high) == pytest.approx((first.value, first.low, first.high))
    assert all(low.value < high.value for low, high in pairwise(curve))
    assert curve[-1].value == pytest.approx((c_Q > 0).mean())


def test_its_intervals_are_those_of_a_bootstrap_over_questions() -> None:
    rng = np.random.default_rng(1)
    n_Q, c_Q = np.full(200, 8), rng.binomial(8, rng.beta(0.5, 1.0, 200))
    for k, estimate in zip((1, 4), pass_at_k_curve(n_Q, c_Q, (1, 4)), strict=True):
        values_Q = np.array([pass_at_k(8, c, k) for c in c_Q])
        theirs = bootstrap((values_Q,), np.mean, n_resamples=5000, random_state=2).confidence_interval
        assert (estimate.low, estimate.high) == pytest.approx((theirs.low, theirs.high), abs=0.01)


def test_no_right_answer_at_all_still_leaves_doubt() -> None:
    """F34: a bootstrap would say 0 to 0."""
    (estimate,) = pass_at_k_curve([8] * 30, [0] * 30, [8])
    assert (estimate.value, estimate.low) == (0, 0)
    assert estimate.high > 0.1
