"""Adaptive budgets against every possible split."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.curriculum.allocation import LEAST, PassRateBelief, allocate, mixed_probability

RATES = st.lists(st.floats(0.001, 0.999), min_size=1, max_size=4)


def splits(prompts: int, budget: int, most: int) -> Iterator[tuple[int, ...]]:
    if prompts == 0:
        if budget == 0:
            yield ()
        return
    for first in range(LEAST, min(most, budget) + 1):
        for rest in splits(prompts - 1, budget - first, most):
            yield (first, *rest)


def expected_mixed(sizes: tuple[int, ...], rates: list[float]) -> float:
    """By enumeration of outcomes: a group is mixed unless every draw agrees."""
    return sum(1 - p**n - (1 - p) ** n for n, p in zip(sizes, rates, strict=True))


@given(RATES, st.integers(0, 8), st.integers(2, 7))
def test_no_split_of_the_budget_has_more_mixed_groups(rates: list[float], extra: int, most: int) -> None:
    budget = min(LEAST * len(rates) + extra, most * len(rates))
    found = tuple(allocate(rates, budget, most))
    best = max(expected_mixed(split, rates) for split in splits(len(rates), budget, most))
    assert expected_mixed(found, rates) == pytest.approx(best, abs=1e-12)


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=40), st.integers(2, 9), st.integers(2, 30))
def test_the_budget_is_spent_to_the_last_sample_and_no_group_is_too_large(
    rates: list[float], mean: int, most: int
) -> None:
    """Certain prompts (rates 0 and 1) too."""
    sizes = allocate(rates, mean * len(rates), most)
    assert sum(sizes) == min(mean, most) * len(rates)
    assert min(sizes) >= LEAST
    assert max(sizes) <= most


@given(st.floats(0, 1), st.integers(1, 50))
def test_mixed_probability_is_a_probability_and_the_same_for_p_and_its_complement(p: float, n: int) -> None:
    assert -1e-12 <= mixed_probability(n, p) <= 1
    assert mixed_probability(n, p) == pytest.approx(mixed_probability(n, 1 - p), abs=1e-12)
    assert mixed_probability(1, p) == pytest.approx(0, abs=1e-12)


@given(
    st.lists(st.dictionaries(st.sampled_from("abc"), st.tuples(st.integers(0, 9), st.integers(0, 9))), max_size=5),
    st.integers(0, 5),
)
def test_a_restored_belief_goes_on_as_the_one_that_was_saved(steps: list[dict[str, tuple[int, int]]], cut: int) -> None:
    whole, resumed = PassRateBelief({"a": (8, 3)}), PassRateBelief({})
    for counts in steps[:cut]:
        whole.observe(counts)
    resumed.restore(whole.state())
    for counts in steps[cut:]:
        whole.observe(counts)
        resumed.observe(counts)
    assert [whole.mean(name) for name in "abcd"] == [resumed.mean(name) for name in "abcd"]


def test_belief_is_the_mean_of_a_beta_and_forgets_by_half() -> None:
    belief = PassRateBelief({"a": (8, 6)})
    assert belief.mean("a") == pytest.approx(7 / 10)
    assert belief.mean("never seen") == 0.5
    belief.observe({"a": (4, 0)})
    assert belief.mean("a") == pytest.approx((1 + 3) / (2 + 8))
