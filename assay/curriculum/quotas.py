"""How many prompts of each step fall to each of several pools: the steps of a stream, cut by weights.

A weight is a share of the run, not of a step: a pool with a tenth of the weight gets one prompt in ten, also where a
step has four. Seats go to the pool that is furthest behind, w / (2n + 1) (Webster, Sainte-Laguë), so after any number
of steps every pool has its share to within a prompt or so, and nothing is drawn at random.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Protocol


class Quota(Protocol):
    """Prompts of each step, as places in a stream that begins at 0."""

    def start(self, step: int) -> int:
        """The place of a step's first prompt; the next step's start is where it ends."""
        ...

    def around(self, place: int) -> tuple[int, int]:
        """(start, end) of the step that a place belongs to."""
        ...


class EvenQuota:
    """As many prompts in every step."""

    def __init__(self, per_step: int) -> None:
        self.per_step = per_step

    def start(self, step: int) -> int:
        return step * self.per_step

    def around(self, place: int) -> tuple[int, int]:
        start = place - place % self.per_step
        return start, start + self.per_step


class Seats:
    """Hands a quota's prompts out to pools by their weights. Every pool's share is a quota of its own."""

    def __init__(self, whole: Quota, weights: Sequence[float]) -> None:
        self.whole = whole
        self.weights = weights
        self.starts: list[tuple[int, ...]] = [(0,) * len(weights)]

    def of(self, pool: int) -> PoolQuota:
        """One pool's share."""
        return PoolQuota(self, pool)

    def until(self, step: int) -> tuple[int, ...]:
        """Prompts of each pool before a step."""
        while len(self.starts) <= step:
            seats = list(self.starts[-1])
            for _ in range(self.whole.start(len(self.starts)) - sum(seats)):
                seats[self._behind(seats)] += 1
            self.starts.append(tuple(seats))
        return self.starts[step]

    def _behind(self, seats: Sequence[int]) -> int:
        return max(range(len(seats)), key=lambda pool: (self.weights[pool] / (2 * seats[pool] + 1), -pool))


class PoolQuota:
    """The share of one pool."""

    def __init__(self, seats: Seats, pool: int) -> None:
        self.seats = seats
        self.pool = pool

    def start(self, step: int) -> int:
        return self.seats.until(step)[self.pool]

    def around(self, place: int) -> tuple[int, int]:
        while self.seats.starts[-1][self.pool] <= place:
            self.seats.until(len(self.seats.starts))
        step = bisect_right(self.seats.starts, place, key=lambda starts: starts[self.pool]) - 1
        return self.start(step), self.start(step + 1)
