"""Laws that hold for whatever scores are given."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from assay.statistics.corrections import holm
from assay.statistics.intervals import mean_interval_clustered
from assay.statistics.paired import paired_bootstrap
from assay.statistics.passk import pass_at_k

scores = st.floats(0, 1, allow_subnormal=False)


@given(st.lists(st.lists(scores, min_size=1, max_size=6), min_size=1, max_size=20), st.sampled_from([0.5, 0.95, 0.999]))
def test_an_estimate_lies_in_its_interval_and_that_between_0_and_1(scores_QS: list[list[float]], level: float) -> None:
    estimate = mean_interval_clustered(scores_QS, level)
    assert 0 <= estimate.low <= estimate.value + 1e-12
    assert estimate.value - 1e-12 <= estimate.high <= 1
    assert estimate.high > estimate.low


@given(st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n - 1), st.integers(1, n))))
def test_pass_at_k_rises_with_k_and_with_right_answers(case: tuple[int, int, int]) -> None:
    n, c, k = case
    assert 0 <= pass_at_k(n, c, k) <= pass_at_k(n, c + 1, k) <= 1
    assert pass_at_k(n, c, max(1, k - 1)) <= pass_at_k(n, c, k) + 1e-12


@given(st.lists(st.floats(0, 1), max_size=20))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: list[float]) -> None:
    adjusted = holm(p_values)
    assert all(p <= after <= 1 for p, after in zip(p_values, adjusted, strict=True))
    assert [after for _, after in sorted(zip(p_values, adjusted, strict=True))] == sorted(adjusted)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(2, 12), st.data())
def test_a_difference_lies_in_its_interval(
    arm_runs: int, baseline_runs: int, questions: int, data: st.DataObject
) -> None:
    sides = [data.draw(arrays(np.float64, (runs, questions), elements=scores)) for runs in (arm_runs, baseline_runs)]
    found = paired_bootstrap(sides[0], sides[1], seed=0, resamples=200)
    assert found.low - 1e-9 <= found.value <= found.high + 1e-9
    assert 0 <= found.p_value <= 1
    assert found.conditional == (min(arm_runs, baseline_runs) == 1)
