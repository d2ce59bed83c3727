"""What a step's completions are worth: rewards, the KL in the reward, and a critic's view, against literal loops."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import replace
from statistics import fmean
from typing import Any

import pytest

from assay.contracts.training import TrainSpec
from assay.training.credit import StepBatch, assign_credit, reward_spread
from assay.training.rollout import Rollout

BETA = 0.5


def step_batch(rollouts: list[Rollout], values: bool = False) -> StepBatch:
    """Log-probs and values that depend on row and token."""

    def numbers(scale: float) -> list[list[float]]:
        return [
            [scale * math.sin(7 * i + 3 * t + scale) for t in range(len(r.completion.tokens))]
            for i, r in enumerate(rollouts)
        ]

    return StepBatch(rollouts, [4, 4, 4], numbers(1.0), numbers(0.8), 12, numbers(0.3) if values else None)


def train_spec(objective: str, estimator: str = "k3_loss", clamp: float | None = None, **loss: Any) -> TrainSpec:
    kl = {"estimator": estimator, "coefficient": BETA, "clamp": clamp}
    return TrainSpec.model_validate({"steps": 1, "loss": {"objective": objective} | loss, "kl": kl})


def divergences(batch: StepBatch) -> list[list[float]]:
    pairs = zip(batch.old, batch.reference, strict=True)
    return [[old - ref for old, ref in zip(*row, strict=True)] for row in pairs]


def baseline(name: str, group: list[float], place: int) -> float:
    others = [value for i, value in enumerate(group) if i != place]
    return fmean(others if name == "rloo" else group)


DEVIATIONS: dict[str, Callable[[list[float]], float]] = {"sample": statistics.stdev, "population": statistics.pstdev}


@pytest.mark.parametrize("std", DEVIATIONS)
@pytest.mark.parametrize("objective", ["grpo", "dr_grpo", "rloo"])
def test_a_kl_in_the_reward_is_taken_off_after_normalisation(rollouts: list[Rollout], objective: str, std: str) -> None:
    """Inside it, the KL noise of a group of equal rewards (the third) would be blown up to unit variance."""
    batch = step_batch(rollouts)
    found = assign_credit(batch, train_spec(objective, "k1_reward", std=std)).advantages
    penalties = [sum(row) for row in divergences(batch)]
    for start in (0, 4, 8):
        rewards = [rollout.reward for rollout in rollouts[start : start + 4]]
        deviation = DEVIATIONS[std](rewards) + 1e-4 if objective == "grpo" else 1.0
        penalty = penalties[start : start + 4]
        for place in range(4):
            worth = (rewards[place] - baseline(objective, rewards, place)) / deviation
            expected = worth - BETA * (penalty[place] - baseline(objective, penalty, place))
            assert found[start + place] == pytest.approx([expected] * len(batch.old[start + place]), abs=1e-5)


def test_a_clamp_bounds_the_penalty_of_each_token(rollouts: list[Rollout]) -> None:
    batch = step_batch(rollouts)
    found = assign_credit(batch, train_spec("dr_grpo", "k1_reward", clamp=0.1)).advantages
    penalties = [sum(min(max(d, -0.1), 0.1) for d in row) for row in divergences(batch)][8:]
    expected = [BETA * (fmean(penalties) - penalty) for penalty in penalties]
    assert [row[0] for row in found[8:]] == pytest.approx(expected, abs=1e-6)


def token_rewards(batch: StepBatch, estimator: str) -> list[list[float]]:
    """The KL of each token, and the reward of the completion at its last."""
    beta = BETA if estimator == "k1_reward" else 0.0
    rows = [[-beta * each for each in row] for row in divergences(batch)]
    for row, rollout in zip(rows, batch.rollouts, strict=True):
        row[-1] += rollout.reward
    return rows


def whitened(rows: list[list[float]], std: str) -> list[list[float]]:
    flat = [value for row in rows for value in row]
    return [[(value - fmean(flat)) / (DEVIATIONS[std](flat) + 1e-4) for value in row] for row in rows]


def literal_gae(rewards: list[float], values: list[float], gamma: float, lam: float) -> list[float]:
    deltas = [r + gamma * after - v for r, v, after in zip(rewards, values, [*values[1:], 0.0], strict=True)]
    return [sum((gamma * lam) ** k * delta for k, delta in enumerate(deltas[t:])) for t in range(len(deltas))]


@pytest.mark.parametrize("std", DEVIATIONS)
@pytest.mark.parametrize("estimator", ["k3_loss", "k1_reward"])
@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (0.9, 0.7)])
def test_a_critic_gives_each_token_its_own_advantage_whitened_over_the_batch(
    rollouts: list[Rollout], estimator: str, std: str, gamma: float, lam: float
) -> None:
    batch = step_batch(rollouts, values=True)
    assert batch.values is not None
    critic = {"gamma": gamma, "gae_lambda": lam}
    credit = assign_credit(batch, train_spec("ppo", estimator, std=std, critic=critic))
    rewards = token_rewards(batch, estimator)
    raw = [literal_gae(row, values, gamma, lam) for row, values in zip(rewards, batch.values, strict=True)]
    returns = [[a + v for a, v in zip(*pair, strict=True)] for pair in zip(raw, batch.values, strict=True)]
    for row, expected in enumerate(whitened(raw, std)):
        assert credit.advantages[row] == pytest.approx(expected, abs=1e-5)
        assert credit.returns[row] == pytest.approx(returns[row], abs=1e-5)


@pytest.mark.parametrize("std", DEVIATIONS)
@pytest.mark.parametrize("estimator", ["k3_loss", "k1_reward"])
def test_reinforce_plus_plus_whitens_what_each_token_has_still_to_come(
    rollouts: list[Rollout], estimator: str, std: str
) -> None:
    """A_t = r − β Σ_{i≥t} KL_i, then whitened over the tokens of the batch (2501.03262)."""
    batch = step_batch(rollouts)
    found = assign_credit(batch, train_spec("reinforce++", estimator, std=std)).advantages
    to_go = [[sum(row[t:]) for t in range(len(row))] for row in token_rewards(batch, estimator)]
    for row, expected in enumerate(whitened(to_go, std)):
        assert found[row] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("estimator", ["k3_loss", "k1_reward"])
@pytest.mark.parametrize("objective", ["grpo", "dr_grpo", "rloo", "reinforce++", "ppo"])
def test_an_unjudged_completion_is_worth_nothing_and_moves_no_other(
    rollouts: list[Rollout], objective: str, estimator: str
) -> None:
    """A verifier that failed is not a wrong answer (F19), and the KL of its text pulls nobody's mean."""
    ppo = objective == "ppo"
    failed = [replace(rollout, reward=math.nan) if row == 0 else rollout for row, rollout in enumerate(rollouts)]
    batch = step_batch(failed, values=ppo)
    batch.reference[0][:] = [-50.0] * len(batch.reference[0])
    credit = assign_credit(batch, train_spec(objective, estimator))
    assert set(credit.advantages[0]) == {0.0}
    assert all(abs(value) < 5 for row in credit.advantages for value in row)
    assert any(value != 0 for row in credit.advantages[1:] for value in row)
    if ppo:
        assert all(map(math.isnan, credit.returns[0]))
        assert all(math.isfinite(value) for row in credit.returns[1:] for value in row)


def test_the_spread_is_the_share_of_groups_that_differ(rollouts: list[Rollout]) -> None:
    assert reward_spread(step_batch(rollouts)) == {"mixed_group_share": pytest.approx(2 / 3)}
