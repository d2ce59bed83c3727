"""Advantages against literal loops, numpy, and returns written out term by term."""

from __future__ import annotations

import math
import statistics
from typing import Any, get_args

import numpy as np
import pytest
import torch

from assay.contracts.objective import Advantage
from assay.training.advantages import gae, mixed_groups, reward_advantages

NAN = math.nan
KINDS = [kind for kind in get_args(Advantage) if kind not in ("return_to_go", "gae")]
GROUPS = [[1.0, 0.0, 0.0, 1.0, 1.0], [0.25, 0.5], [0.0, 0.0, 1.0], [3.0, -2.0, NAN, 0.5], [0.5, 0.5]]


def judged(rewards: list[float]) -> list[float]:
    return [reward for reward in rewards if not math.isnan(reward)]


def literal(kind: str, std: str, group: list[float], reward: float) -> float:
    """One completion's advantage, of the table in the module's docstring."""
    deviation = statistics.stdev if std == "sample" else statistics.pstdev
    peers, batch = judged(group), judged([reward for each in GROUPS for reward in each])
    if math.isnan(reward) or (kind != "batch_std" and len(set(peers)) < 2):
        return 0.0
    if kind == "leave_one_out":
        return reward - (sum(peers) - reward) / (len(peers) - 1)
    centre = statistics.fmean(batch if kind == "batch_std" else peers)
    scale = {"group_mean": 1.0, "group_std": deviation(peers) + 1e-4}.get(kind, deviation(batch) + 1e-4)
    return (reward - centre) / scale


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("std", ["sample", "population"])
def test_advantages_are_their_formula_completion_by_completion(kind: Any, std: Any) -> None:
    flat = torch.tensor([reward for group in GROUPS for reward in group], dtype=torch.float64)
    expected = [literal(kind, std, group, reward) for group in GROUPS for reward in group]
    found = reward_advantages(flat, [len(group) for group in GROUPS], kind, std)
    assert found.tolist() == pytest.approx(expected, rel=1e-12)


def test_the_deviation_is_the_sample_one_unless_the_population_is_asked_for() -> None:
    """A 2-2 split gives advantages of 0.866 under n − 1, as in TRL, and of 1.0 under n."""
    rewards = torch.tensor([1.0, 1.0, 0.0, 0.0])
    sample, population = np.std(rewards.numpy(), ddof=1), np.std(rewards.numpy())
    assert float(reward_advantages(rewards, [4], "group_std")[0]) == pytest.approx(0.5 / (sample + 1e-4))
    found = reward_advantages(rewards, [4], "group_std", "population")
    assert float(found[0]) == pytest.approx(0.5 / (population + 1e-4))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reward", [0.0, 1.0, 0.1, -7.3])
@pytest.mark.parametrize("size", [2, 3, 8, 64])
def test_a_group_of_equal_rewards_gets_exactly_zero(kind: Any, reward: float, size: int) -> None:
    """0.1 has no exact mean in binary: rounding must not become a gradient."""
    assert reward_advantages(torch.full((size,), reward), [size], kind).eq(0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_an_unjudged_completion_neither_teaches_nor_moves_its_group(kind: Any) -> None:
    """A verifier that failed is not a wrong answer (F19)."""
    with_failure = reward_advantages(torch.tensor([1.0, NAN, 0.0, 0.0]), [4], kind)
    without = reward_advantages(torch.tensor([1.0, 0.0, 0.0]), [3], kind)
    assert with_failure[1] == 0
    torch.testing.assert_close(with_failure[[0, 2, 3]], without)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rewards", [[NAN, NAN], [1.0, NAN], [1.0, NAN, 1.0]])
def test_a_group_without_two_different_verdicts_teaches_nothing(kind: Any, rewards: list[float]) -> None:
    assert reward_advantages(torch.tensor(rewards), [len(rewards)], kind).tolist() == [0.0] * len(rewards)


@pytest.mark.parametrize("kind", KINDS)
def test_advantages_of_a_batch_add_up_to_zero(kind: Any) -> None:
    rewards = torch.rand(16, dtype=torch.float64)
    assert float(reward_advantages(rewards, [6, 10], kind).sum()) == pytest.approx(0, abs=1e-9)


def test_mixed_groups_are_those_with_two_different_verdicts() -> None:
    rewards = torch.tensor([1.0, 1.0, 0.0, 1.0, NAN, 1.0, NAN, NAN, 0.5, 0.0])
    assert mixed_groups(rewards, [2, 2, 2, 2, 2]) == 2


def literal_gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    """Σ_k (γλ)^k δ_{t+k}, term by term."""
    after = [*values[1:], 0.0]
    deltas = [r + gamma * v1 - v for r, v, v1 in zip(rewards, values, after, strict=True)]
    return [sum((gamma * lam) ** k * delta for k, delta in enumerate(deltas[t:])) for t in range(len(deltas))]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.5), (1.0, 1.0), (0.7, 0.0)])
def test_gae_is_the_sum_of_discounted_surprises(gamma: float, lam: float) -> None:
    generator = torch.Generator().manual_seed(1)
    lengths = [6, 1, 4]
    rewards_BT = torch.randn(3, 6, generator=generator, dtype=torch.float64)
    values_BT = torch.randn(3, 6, generator=generator, dtype=torch.float64)  # on padding too
    mask_BT = (torch.arange(6)[None] < torch.tensor(lengths)[:, None]).double()
    found = gae(rewards_BT * mask_BT, values_BT, mask_BT, gamma, lam)
    for row, length in enumerate(lengths):
        expected = literal_gae(rewards_BT[row, :length].tolist(), values_BT[row, :length].tolist(), gamma, lam)
        assert found[row, :length].tolist() == pytest.approx(expected, rel=1e-9)
        assert found[row, length:].eq(0).all()


def test_lambda_one_is_the_reward_to_come_less_the_value() -> None:
    rewards_BT = torch.tensor([[0.0, -0.1, 1.0]], dtype=torch.float64)
    values_BT = torch.tensor([[0.3, 0.4, 0.9]], dtype=torch.float64)
    found = gae(rewards_BT, values_BT, torch.ones(1, 3), 1.0, 1.0)
    torch.testing.assert_close(found, torch.tensor([[0.9, 0.9, 1.0]], dtype=torch.float64) - values_BT)


def test_a_perfect_critic_leaves_no_advantage() -> None:
    found = gae(torch.tensor([[0.0, 0.0, 1.0]]), torch.ones(1, 3), torch.ones(1, 3), 1.0, 0.95)
    assert found.eq(0).all()
