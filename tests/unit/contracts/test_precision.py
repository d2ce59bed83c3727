"""What rounding explains, and what a tolerance of one's own makes of it."""

from __future__ import annotations

import math

import pytest

from assay.contracts.precision import BOUNDS, bounds
from assay.contracts.training import TrainSpec


@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_bounds_are_of_the_precision_unless_a_tolerance_is_given(dtype: str) -> None:
    spec = TrainSpec.model_validate({"steps": 1, "engine": {"dtype": dtype}})
    own = BOUNDS[dtype]
    assert bounds(spec) == own
    wider = bounds(spec.model_copy(update={"logprob_tolerance": 2 * own.gap}))
    assert (wider.gap, wider.k3, wider.ratio) == (2 * own.gap, pytest.approx(4 * own.k3), own.ratio)


@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_the_bound_on_k3_lets_pass_what_the_mean_difference_does(dtype: str) -> None:
    """Log-probs that are all off by the whole tolerance."""
    for tolerance in (None, 0.1, 0.3):
        spec = TrainSpec.model_validate({"steps": 1, "engine": {"dtype": dtype}, "logprob_tolerance": tolerance})
        gap, k3, _ = bounds(spec)
        assert math.exp(gap) - 1 - gap < k3 < 50 * gap**2
