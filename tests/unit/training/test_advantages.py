"""Group-normalised advantages against a literal loop and numpy."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch

from assay.training.advantages import group_advantages, mixed_groups

NAN = math.nan


def literal(rewards: list[float], scale: bool) -> list[float]:
    judged = [reward for reward in rewards if not math.isnan(reward)]
    if len(set(judged)) < 2:
        return [0.0] * len(rewards)
    divisor = statistics.stdev(judged) + 1e-4 if scale else 1.0
    return [0.0 if math.isnan(reward) else (reward - statistics.fmean(judged)) / divisor for reward in rewards]


@pytest.mark.parametrize("scale", [True, False])
def test_every_group_is_normalised_by_its_own_mean_and_deviation(scale: bool) -> None:
    groups = [[1.0, 0.0, 0.0, 1.0, 1.0], [0.25, 0.5], [0.0, 0.0, 1.0], [3.0, -2.0, NAN, 0.5]]
    flat = torch.tensor([reward for group in groups for reward in group], dtype=torch.float64)
    expected = [value for group in groups for value in literal(group, scale)]
    found = group_advantages(flat, [len(group) for group in groups], scale)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_deviation_is_the_sample_one_as_trl_computes_it() -> None:
    """n − 1, where the population form of a 2-2 split would give advantages of ±1.0 instead of ±0.866."""
    rewards = torch.tensor([1.0, 1.0, 0.0, 0.0])
    sample, population = np.std(rewards.numpy(), ddof=1), np.std(rewards.numpy())
    assert float(group_advantages(rewards, [4], True)[0]) == pytest.approx(0.5 / (sample + 1e-4))
    assert float(group_advantages(rewards, [4], True)[0]) != pytest.approx(0.5 / (population + 1e-4), rel=0.1)


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, -7.3])
@pytest.mark.parametrize("size", [2, 3, 8, 64])
def test_a_group_of_equal_rewards_gets_exactly_zero(reward: float, size: int) -> None:
    """0.1 has no exact mean in binary: rounding must not become a gradient."""
    assert group_advantages(torch.full((size,), reward), [size], True).eq(0).all()


def test_an_unjudged_completion_neither_teaches_nor_moves_its_group() -> None:
    """A verifier that failed is not a wrong answer (F19)."""
    with_failure = group_advantages(torch.tensor([1.0, NAN, 0.0, 0.0]), [4], True)
    without = group_advantages(torch.tensor([1.0, 0.0, 0.0]), [3], True)
    assert with_failure[1] == 0
    torch.testing.assert_close(with_failure[[0, 2, 3]], without)


@pytest.mark.parametrize("rewards", [[NAN, NAN], [1.0, NAN], [1.0, NAN, 1.0]])
def test_a_group_without_two_different_verdicts_teaches_nothing(rewards: list[float]) -> None:
    assert group_advantages(torch.tensor(rewards), [len(rewards)], True).tolist() == [0.0] * len(rewards)


def test_advantages_of_a_group_add_up_to_zero() -> None:
    assert float(group_advantages(torch.rand(16, dtype=torch.float64), [16], True).sum()) == pytest.approx(0, abs=1e-9)


def test_mixed_groups_are_those_with_two_different_verdicts() -> None:
    rewards = torch.tensor([1.0, 1.0, 0.0, 1.0, NAN, 1.0, NAN, NAN, 0.5, 0.0])
    assert mixed_groups(rewards, [2, 2, 2, 2, 2]) == 2
