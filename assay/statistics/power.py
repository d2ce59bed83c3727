"""What could have been seen: the smallest true difference that a paired comparison would find most of the time.

    MDD = (z_{1−α/2m} + z_{power}) √(2p(1 − p)(1 − ρ)/n + 2σ²/S)

n questions answered once by both sides, both right about p of the time, their answers correlated by ρ (0, independent
sides, is the pessimist's); S training runs a side, whose true accuracies have standard deviation σ; m comparisons
corrected together (Holm's first step is Bonferroni's).
"""

from __future__ import annotations

import math

from scipy.stats import norm

from assay.contracts.errors import InputError


def minimum_detectable_difference(
    n: int,
    p: float,
    *,
    correlation: float = 0.0,
    seed_deviation: float = 0.0,
    seeds: int = 1,
    comparisons: int = 1,
    alpha: float = 0.05,
    power: float = 0.8,
) -> float:
    """The module's formula, in the units of an accuracy (0.03 is three points). Raises InputError."""
    if n < 1 or seeds < 1 or comparisons < 1 or not 0 <= p <= 1 or not -1 <= correlation <= 1:
        raise InputError(
            "power", f"n={n}, p={p}, correlation={correlation}", "Give counts of 1 or more and a p in [0, 1]"
        )
    variance = 2 * p * (1 - p) * (1 - correlation) / n + 2 * seed_deviation**2 / seeds
    return float(norm.isf(alpha / (2 * comparisons)) + norm.ppf(power)) * math.sqrt(variance)
