"""Is one arm better than another, on the same questions?

With d_q the difference at question q of the arms' mean scores, and m_s the mean score of an arm's training run s:

    variance   V = Var_Q(d_q)/Q + Σ_arms Var_S(m_s)/S         of the questions, and of the runs of an arm with several
    freedom    ν = V² / Σ V_i²/ν_i                             (Satterthwaite 1946)
    interval   quantiles of a bootstrap that draws questions and runs anew, stretched about the value to variance V and
               from normal to t_ν: percentiles alone are too narrow for three seeds (Hesterberg 2015, arXiv:1411.5279)
    p-value    the larger of two: t_ν of d/√V, which knows about runs, and the sign-flip permutation over questions,
               which assumes nothing about the shape of d

With one run an arm all of it is conditional on that run: another seed may say otherwise (F29).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import binom, norm, t

from assay.contracts.errors import InputError

Array = NDArray[np.float64]

_BLOCK_NUMBERS = 1 << 21
"""Random numbers drawn at once: memory stays small however many questions there are."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher an arm scores than a baseline, on `n` questions."""

    value: float
    low: float
    high: float
    p_value: float
    n: int
    runs: tuple[int, int]
    """Training runs (seeds) of the arm and of the baseline."""

    @property
    def conditional(self) -> bool:
        """A side is a single run: the interval tells of other questions, not of another seed of that side.
        No loss for a base model, which nobody trained."""
        return min(self.runs) == 1


@dataclass(frozen=True, slots=True)
class McNemar:
    """Exact McNemar test: of the questions that only one side got right, how unlike a fair coin is the split."""

    only_a: int
    only_b: int
    p_value: float


def mcnemar_exact(a_Q: ArrayLike, b_Q: ArrayLike) -> McNemar:
    """Two-sided exact McNemar test of right (1) and wrong (0) answers to the same questions. Raises InputError."""
    a, b = _same_questions(a_Q, b_Q)
    if len(a) != 1 or len(b) != 1 or not np.isin([a, b], (0, 1)).all():
        raise InputError("mcnemar", "scores that are not one 0 or 1 a question", "Compare means with paired_bootstrap")
    only_a, only_b = int((a > b).sum()), int((b > a).sum())
    p_value = min(1.0, 2 * float(binom.cdf(min(only_a, only_b), only_a + only_b, 0.5)))
    return McNemar(only_a, only_b, p_value)


def paired_bootstrap(
    arm_SQ: ArrayLike, baseline_SQ: ArrayLike, *, seed: int, resamples: int = 10_000, level: float = 0.95
) -> Difference:
    """The module's interval and p-value for mean(arm) − mean(baseline).

    Rows are training runs and columns the same questions in the same order; an entry is the mean score of that run's
    answers. One row may be given flat. Runs of the two sides are not paired. Raises InputError for fewer than two
    questions, different questions, or a score that is not a number.
    """
    arm, baseline = _same_questions(arm_SQ, baseline_SQ)
    d_Q = arm.mean(axis=0) - baseline.mean(axis=0)
    value, (variance, freedom) = float(d_Q.mean()), _variance(d_Q, arm, baseline)
    drawn = np.concatenate(list(_resampled(arm, baseline, resamples, np.random.default_rng(seed))))
    low, high = np.quantile(drawn, [(1 - level) / 2, (1 + level) / 2]) - value
    stretch = _stretch(variance, freedom, float(drawn.var()), level)
    p_value = max(_t_test(value, variance, freedom), sign_flip(arm, baseline, seed=seed, resamples=resamples))
    return Difference(
        value, value + stretch * low, value + stretch * high, p_value, d_Q.size, (len(arm), len(baseline))
    )


def sign_flip(arm_SQ: ArrayLike, baseline_SQ: ArrayLike, *, seed: int, resamples: int = 10_000) -> float:
    """Two-sided permutation p-value of a mean difference of zero: flip the sign of each question's difference.

    All flips are tried when they are no more than `resamples`; otherwise that many are drawn and
    p = (hits + 1)/(drawn + 1). Conditional on the runs given: it knows nothing of other seeds.
    """
    arm, baseline = _same_questions(arm_SQ, baseline_SQ)
    d_Q = arm.mean(axis=0) - baseline.mean(axis=0)
    d_Q = d_Q[d_Q != 0]  # flipping a tie changes nothing
    as_far = abs(d_Q.sum()) - 1e-12 * np.abs(d_Q).sum()
    if 2**d_Q.size <= resamples:
        flips = (np.arange(2**d_Q.size)[:, None] >> np.arange(d_Q.size)) & 1
        return float((np.abs((1 - 2 * flips) @ d_Q) >= as_far).mean())
    rng = np.random.default_rng(seed)
    blocks = (rng.integers(0, 2, (rows, d_Q.size), dtype=np.int8) for rows in _blocks(resamples, d_Q.size))
    hits = sum(int((np.abs((1 - 2 * flips) @ d_Q) >= as_far).sum()) for flips in blocks)
    return (hits + 1) / (resamples + 1)


def _same_questions(a_SQ: ArrayLike, b_SQ: ArrayLike) -> tuple[Array, Array]:
    a, b = (np.atleast_2d(np.asarray(scores, dtype=float)) for scores in (a_SQ, b_SQ))
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1] or a.shape[1] < 2:
        raise InputError("scores", f"shapes {a.shape} and {b.shape}", "Give both sides the same questions, two or more")
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        raise InputError(
            "scores", "some are not numbers", "Leave out questions a side has no score for, and count them"
        )
    return a, b


def _variance(d_Q: Array, *sides_SQ: Array) -> tuple[float, float]:
    """V and ν of the module's formulas."""
    parts = [(float(d_Q.var(ddof=1)) / d_Q.size, d_Q.size - 1)]
    for side in sides_SQ:
        if len(side) > 1:
            parts.append((float(side.mean(axis=1).var(ddof=1)) / len(side), len(side) - 1))
    variance = sum(part for part, _ in parts)
    if variance == 0:
        return 0.0, float(d_Q.size - 1)
    return variance, 1 / sum((part / variance) ** 2 / freedom for part, freedom in parts)


def _resampled(arm: Array, baseline: Array, resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Differences of mean scores when questions, and the runs of each side, are drawn anew."""
    questions = arm.shape[1]
    for rows in _blocks(resamples, questions):
        drawn_RQ = rng.integers(0, questions, (rows, questions))
        arm_RQ, baseline_RQ = (_runs_drawn(len(side), rows, rng) @ side for side in (arm, baseline))
        yield np.take_along_axis(arm_RQ - baseline_RQ, drawn_RQ, axis=1).mean(axis=1)


def _runs_drawn(runs: int, rows: int, rng: np.random.Generator) -> Array:
    return rng.multinomial(runs, np.full(runs, 1 / runs), rows) / runs


def _blocks(rows: int, columns: int) -> Iterator[int]:
    size = max(1, _BLOCK_NUMBERS // columns)
    yield from (min(size, rows - start) for start in range(0, rows, size))


def _stretch(variance: float, freedom: float, drawn_variance: float, level: float) -> float:
    if drawn_variance == 0:
        return 1.0
    quantile = (1 + level) / 2
    return math.sqrt(variance / drawn_variance) * float(t.ppf(quantile, freedom) / norm.ppf(quantile))


def _t_test(value: float, variance: float, freedom: float) -> float:
    if variance == 0:
        return float(value == 0)
    return 2 * float(t.sf(abs(value) / math.sqrt(variance), freedom))
