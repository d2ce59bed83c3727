"""A pass rate after optional stopping: right on average, whatever the true rate; the plain share is not."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product

import pytest

from assay.contracts.training import ChunkSpec
from assay.statistics.stopping import is_enough, unbiased_pass_rate

SPEC = ChunkSpec(chunk_samples=2, correct=1, wrong=1, max_samples=8)
Estimator = Callable[[int, int], float]


def endings(spec: ChunkSpec, answers: tuple[bool, ...]) -> tuple[int, int]:
    """(samples, correct) when a stream of answers is stopped by the rule."""
    n = 0
    while not (n and is_enough(n, sum(answers[:n]), n, spec)):
        n += spec.chunk_samples
    return n, sum(answers[:n])


def expectation(p: float, spec: ChunkSpec, estimate: Estimator) -> float:
    """Over every stream of answers there is."""
    total = 0.0
    for answers in product((False, True), repeat=spec.max_samples):
        right = sum(answers)
        chance = p**right * (1 - p) ** (spec.max_samples - right)
        total += chance * estimate(*endings(spec, answers))
    return total


@pytest.mark.parametrize("p", [0.03, 0.2, 0.5, 0.77, 0.99])
@pytest.mark.parametrize("spec", [SPEC, ChunkSpec(chunk_samples=3, correct=2, wrong=1, max_samples=9)])
def test_it_is_right_on_average(p: float, spec: ChunkSpec) -> None:
    def estimate(n: int, correct: int) -> float:
        return unbiased_pass_rate([spec.chunk_samples] * (n // spec.chunk_samples), correct, spec)

    assert expectation(p, spec, estimate) == pytest.approx(p, abs=1e-12)


def test_the_plain_share_is_not() -> None:
    assert abs(expectation(0.2, SPEC, lambda n, correct: correct / n) - 0.2) > 0.01


def test_one_chunk_gives_the_plain_share() -> None:
    assert [unbiased_pass_rate([8], c, ChunkSpec()) for c in range(9)] == pytest.approx([c / 8 for c in range(9)])


def test_samples_that_could_not_be_judged_are_not_there() -> None:
    assert unbiased_pass_rate([2, 0, 2], 1, SPEC) == unbiased_pass_rate([2, 2], 1, SPEC)
    assert math.isnan(unbiased_pass_rate([0, 0], 0, SPEC))


def test_sampling_goes_on_until_both_kinds_were_seen_or_the_budget_is_spent() -> None:
    spec = ChunkSpec()
    assert not is_enough(8, 0, 8, spec)
    assert not is_enough(8, 7, 8, spec)
    assert is_enough(16, 2, 16, spec)
    assert is_enough(64, 0, 64, spec)
