"""Adaptive budgets: the same number of samples per step, spent where a group is likely to hold both right and wrong.

A group of n samples of a prompt with pass rate p teaches only if it is mixed:

    P(mixed | n, p) = 1 − p^n − (1 − p)^n

which is concave in n >= 1, so handing out samples one by one to the largest gain maximises the expected number of mixed
groups (the knapsack view of 2509.25849). p is believed from the curriculum and from what training observed since.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

LEAST = 2
DISCOUNT = 0.5
"""What was observed earlier counts half after each new look at a prompt: the policy has moved since."""


def mixed_probability(n: int, p: float) -> float:
    """Chance that n independent samples of pass rate p are neither all right nor all wrong."""
    return 1 - p**n - (1 - p) ** n


def allocate(chances: Sequence[float], budget: int, most: int) -> list[int]:
    """Samples per prompt: at least 2, at most `most`, `budget` in all (less only when every prompt has `most`)."""
    sizes = [LEAST] * len(chances)
    gains = [(-_gain(LEAST, p), place) for place, p in enumerate(chances)]
    heapq.heapify(gains)
    for _ in range(min(budget, most * len(sizes)) - sum(sizes)):
        _, place = heapq.heappop(gains)
        sizes[place] += 1
        if sizes[place] < most:
            heapq.heappush(gains, (-_gain(sizes[place], chances[place]), place))
    return sizes


def _gain(n: int, p: float) -> float:
    return mixed_probability(n + 1, p) - mixed_probability(n, p)


class PassRateBelief:
    """Beta(1 + c, 1 + n − c) for each prompt; observations discount what was known before."""

    def __init__(self, counts: Mapping[str, tuple[float, float]]) -> None:
        self.counts: dict[str, tuple[float, float]] = {name: (float(n), float(c)) for name, (n, c) in counts.items()}

    def mean(self, problem_id: str) -> float:
        """Expected pass rate."""
        n, c = self.counts.get(problem_id, (0.0, 0.0))
        return (1 + c) / (2 + n)

    def observe(self, counts: Mapping[str, tuple[float, float]]) -> None:
        """Fold in a step's (samples, correct) of each prompt."""
        for problem_id, (n, c) in counts.items():
            old_n, old_c = self.counts.get(problem_id, (0.0, 0.0))
            self.counts[problem_id] = (DISCOUNT * old_n + n, DISCOUNT * old_c + c)

    def state(self) -> dict[str, Any]:
        return {name: list(pair) for name, pair in self.counts.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.counts = {name: (pair[0], pair[1]) for name, pair in state.items()}
