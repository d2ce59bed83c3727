"""Weights are kept to within a prompt or two, whatever the steps, and every place knows its step."""

from __future__ import annotations

from itertools import count

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.curriculum.quotas import EvenQuota, Seats

WEIGHTS = st.lists(st.floats(0.01, 10), min_size=1, max_size=6)


@settings(deadline=None)
@given(WEIGHTS, st.integers(1, 16), st.integers(1, 60))
def test_pools_share_every_step_out_and_keep_their_weights(weights: list[float], per_step: int, steps: int) -> None:
    seats = Seats(EvenQuota(per_step), weights)
    for step in range(steps + 1):
        assert sum(seats.until(step)) == step * per_step
        for pool, weight in enumerate(weights):
            due = step * per_step * weight / sum(weights)
            assert abs(seats.until(step)[pool] - due) <= max(1.0, len(weights) / 2)


@settings(deadline=None)
@given(WEIGHTS, st.integers(1, 16), st.integers(0, 40))
def test_a_place_lies_in_the_step_that_holds_it(weights: list[float], per_step: int, place: int) -> None:
    quota = Seats(EvenQuota(per_step), weights).of(0)
    step = next(step for step in count() if quota.start(step + 1) > place)
    assert quota.around(place) == (quota.start(step), quota.start(step + 1))
