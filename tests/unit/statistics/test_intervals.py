"""Intervals agree with peers, with Wilson's where that applies, and cover what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import beta, binom, binomtest
from statsmodels.stats.proportion import proportion_confint

from assay.contracts.errors import InputError
from assay.statistics.intervals import effective_answers, interval_of_means, mean_interval_clustered, wilson


@pytest.mark.parametrize("level", [0.8, 0.95, 0.99])
@pytest.mark.parametrize(("successes", "n"), [(0, 1), (1, 1), (0, 30), (30, 30), (7, 30), (41, 90), (660, 1319)])
def test_wilson_agrees_with_statsmodels_and_scipy(successes: int, n: int, level: float) -> None:
    """F34: the sets of 30 and 90 questions."""
    ours = wilson(successes, n, level)
    scipys = binomtest(successes, n).proportion_ci(level, method="wilson")
    assert ours == pytest.approx(proportion_confint(successes, n, 1 - level, method="wilson"), abs=1e-12)
    assert ours == pytest.approx((scipys.low, scipys.high), abs=1e-12)


def test_an_accuracy_of_30_questions_spans_a_third() -> None:
    """F34: 12 of 30 may be anything from 25 % to 58 %."""
    low, high = wilson(12, 30)
    assert (round(low, 2), round(high, 2)) == (0.25, 0.58)


def test_wilson_covers_what_it_says_exactly_computed() -> None:
    for n, p in ((30, 0.5), (30, 0.1), (90, 0.3)):
        covered = [low <= p <= high for low, high in (wilson(successes, n) for successes in range(n + 1))]
        assert 0.92 < float(binom.pmf(np.arange(n + 1), n, p)[covered].sum()) < 0.98


@pytest.mark.parametrize("bad", [(-1, 5), (6, 5), (0, 0), (float("nan"), 5)])
def test_impossible_counts_are_refused(bad: tuple[float, float]) -> None:
    with pytest.raises(InputError, match="wilson"):
        wilson(*bad)


def test_one_answer_a_question_is_wilson() -> None:
    right_Q = [1] * 13 + [0] * 17
    estimate = mean_interval_clustered([[right] for right in right_Q])
    assert (estimate.low, estimate.high) == pytest.approx(wilson(13, 30), abs=1e-12)
    assert (estimate.value, estimate.n) == (pytest.approx(13 / 30), 30)


def test_repeating_an_answer_adds_nothing() -> None:
    once = mean_interval_clustered([[1], [0], [1], [1]])
    many = mean_interval_clustered([[1] * 8, [0] * 8, [1] * 8, [1] * 8])
    assert (many.low, many.high, many.n) == pytest.approx((once.low, once.high, once.n))


def test_answers_that_differ_within_questions_add_up_to_all_answers_at_most() -> None:
    estimate = mean_interval_clustered([[0, 1]] * 50)
    assert (estimate.low, estimate.high) == pytest.approx(wilson(50, 100))


def test_the_effective_number_is_that_of_the_design_effect() -> None:
    """With equal cluster sizes S and intra-class correlation r (ANOVA with one mean), n_eff = QS / (1 + (S − 1) r)."""
    answers_QS = np.random.default_rng(5).binomial(1, np.linspace(0.05, 0.95, 40)[:, None], (40, 6)).astype(float)
    p, (questions, samples) = answers_QS.mean(), answers_QS.shape
    centred = answers_QS - p
    cross = (centred.sum(axis=1) ** 2 - (centred**2).sum(axis=1)).sum() / (questions * samples * (samples - 1))
    r = cross / (p * (1 - p))
    assert effective_answers(answers_QS.mean(axis=1), answers_QS.size) == pytest.approx(240 / (1 + 5 * r))


def test_questions_weigh_the_same_however_often_they_were_answered() -> None:
    assert mean_interval_clustered([[1] * 9, [0]]).value == 0.5


@pytest.mark.parametrize("scores_QS", [[], [[]], [[1], []], [[1.5]], [[-0.1]], [[float("nan")]]])
def test_scores_that_are_none_are_refused(scores_QS: list[list[float]]) -> None:
    with pytest.raises(InputError, match="scores"):
        mean_interval_clustered(scores_QS)


@pytest.mark.parametrize("samples", [1, 4, 16])
@pytest.mark.parametrize("shape", [(0.3, 0.3), (2.0, 2.0), (0.2, 4.0), (0.1, 10.0)])
def test_the_clustered_interval_covers_what_it_says(shape: tuple[float, float], samples: int) -> None:
    """1,000 data sets of 60 questions whose chances are drawn from a beta; F34."""
    rng = np.random.default_rng(11)
    truth = beta.mean(*shape)
    estimates = [
        interval_of_means(rng.binomial(samples, rng.beta(*shape, 60)) / samples, 60 * samples) for _ in range(1000)
    ]
    covered = np.mean([estimate.low <= truth <= estimate.high for estimate in estimates])
    assert 0.90 <= covered <= 0.985
