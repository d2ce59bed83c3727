"""The critic: what it sees, what it learns, and that it comes back bit by bit."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.objective import CriticSpec
from assay.contracts.training import OptimizerSpec, TrainSpec
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.training.checkpoint import load_checkpoint, save_checkpoint
from assay.training.credit import StepBatch
from assay.training.critic import Critic, critic_for, explained
from assay.training.policy import Policy
from assay.training.rollout import Rollout

OPTIMIZER = OptimizerSpec(max_grad_norm=1e9)
FAST = CriticSpec(learning_rate=1e-2, value_clip=10.0)


def make_critic(model: Any, micro_batch_tokens: int = 10_000, spec: CriticSpec = FAST) -> Critic:
    critic = Critic(model, spec, OPTIMIZER, micro_batch_tokens)
    torch.nn.init.normal_(critic.model.head.weight, std=0.5, generator=torch.Generator().manual_seed(5))
    return critic


def step_batch(critic: Critic, rollouts: list[Rollout]) -> StepBatch:
    return StepBatch(rollouts, [4, 4, 4], [], [], 12, critic.values(rollouts))


def returns_of(rollouts: list[Rollout]) -> list[list[float]]:
    return [[rollout.reward + 0.1 * t for t in range(len(rollout.completion.tokens))] for rollout in rollouts]


def test_a_new_critic_expects_nothing(make_model: Any, rollouts: list[Rollout]) -> None:
    values = Critic(make_model(), FAST, OPTIMIZER, 10_000).values(rollouts)
    assert [len(row) for row in values] == [len(rollout.completion.tokens) for rollout in rollouts]
    assert {value for row in values for value in row} == {0.0}


@pytest.mark.parametrize("micro_batch_tokens", [10_000, 40, 1])
def test_a_value_sees_the_prompt_and_the_tokens_before_it(
    make_model: Any, rollouts: list[Rollout], micro_batch_tokens: int
) -> None:
    """One sequence at a time without padding gives the same; a token is judged before it is written."""
    critic = make_critic(make_model(), micro_batch_tokens)
    found = critic.values(rollouts)
    for rollout, values in zip(rollouts, found, strict=True):
        sequence = [*rollout.prompt_tokens, *rollout.completion_tokens]
        hidden = critic.model.trunk(torch.tensor([sequence])).last_hidden_state[0]
        expected = critic.model.head(hidden)[len(rollout.prompt_tokens) - 1 : -1, 0]
        assert values == pytest.approx(expected.tolist(), abs=1e-5)


def gradients(critic: Critic, batch: StepBatch, returns: list[list[float]]) -> list[torch.Tensor]:
    """Of one update, caught before the optimizer takes them."""
    caught: list[torch.Tensor] = []
    critic.optimizer.register_step_pre_hook(
        lambda *_: caught.extend(parameter.grad.clone() for parameter in critic.model.parameters())
    )
    critic.update(batch, returns, updates=1)
    return caught


@pytest.mark.parametrize("micro_batch_tokens", [40, 1])
def test_micro_batches_change_nothing(make_model: Any, rollouts: list[Rollout], micro_batch_tokens: int) -> None:
    whole, cut = make_critic(make_model()), make_critic(make_model(), micro_batch_tokens)
    batch, returns = step_batch(whole, rollouts), returns_of(rollouts)
    pairs = zip(gradients(whole, batch, returns), gradients(cut, batch, returns), strict=True)
    for expected, found in pairs:
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_a_completion_that_was_not_judged_teaches_nothing(make_model: Any, rollouts: list[Rollout]) -> None:
    """As if it had not been there (F19)."""
    full, without = make_critic(make_model()), make_critic(make_model())
    returns = returns_of(rollouts)
    returns[0] = [math.nan] * len(returns[0])
    found = gradients(full, step_batch(full, rollouts), returns)
    batch = replace(step_batch(without, rollouts[1:]), group_sizes=[3, 4, 4])
    expected = gradients(without, batch, returns[1:])
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_a_critic_learns_returns_it_is_shown(make_model: Any, rollouts: list[Rollout]) -> None:
    """All but what nobody can know: before its first token, a completion is like the others of its prompt."""
    critic, returns = Critic(make_model(), FAST, OPTIMIZER, 40), returns_of(rollouts)
    seen = [critic.update(step_batch(critic, rollouts), returns, updates=2) for _ in range(25)]
    assert seen[0]["value_explained"] == 0.0
    assert seen[-1]["value_explained"] > 0.8
    assert seen[-1]["value_loss"] < seen[0]["value_loss"] / 10
    assert all(step["value_grad_norm"] > 0 for step in seen)


def test_training_the_critic_leaves_the_policy_as_it_is(make_model: Any, rollouts: list[Rollout]) -> None:
    model = make_model()
    before = copy.deepcopy(model.state_dict())
    critic = make_critic(model)
    critic.update(step_batch(critic, rollouts), returns_of(rollouts), updates=1)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


def test_a_gradient_that_is_not_a_number_is_told_and_not_applied(make_model: Any, rollouts: list[Rollout]) -> None:
    critic = make_critic(make_model())
    returns = returns_of(rollouts)
    returns[2][0] = math.inf
    metrics = critic.update(step_batch(critic, rollouts), returns, updates=1)
    assert not math.isfinite(metrics["value_grad_norm"])
    assert all(parameter.isfinite().all() for parameter in critic.model.parameters())


def test_weights_and_moments_come_back_bit_by_bit_with_the_policys(
    make_model: Any, rollouts: list[Rollout], tmp_path: Path
) -> None:
    """And go on to the same bits."""
    artifact = Artifact(open_store(str(tmp_path)), "train", "0" * 20)
    policy, written = Policy(make_model(), OPTIMIZER, 1.0, 1000), make_critic(make_model())
    written.update(step_batch(written, rollouts), returns_of(rollouts), updates=2)
    save_checkpoint(artifact, 10, policy, {}, critic=written)
    read = Critic(make_model(seed=9), FAST, OPTIMIZER, 10_000)
    load_checkpoint(artifact, policy, read)
    for _ in range(2):
        assert all(torch.equal(a, b) for a, b in zip(written.tensors().values(), read.tensors().values(), strict=True))
        for critic in (written, read):
            critic.update(step_batch(critic, rollouts), returns_of(rollouts), updates=1)


def test_half_the_rate_moves_the_critic_half_as_far(make_model: Any, rollouts: list[Rollout]) -> None:
    """A run that goes back halves the learning rates of both models."""
    moved = []
    for scale in (1.0, 0.5):
        critic = make_critic(make_model())
        before = critic.model.head.weight.detach().clone()
        critic.rate_scale = scale
        critic.update(step_batch(critic, rollouts), returns_of(rollouts), updates=1)
        moved.append(float((critic.model.head.weight.detach() - before).abs().max()))
    assert moved[1] == pytest.approx(moved[0] / 2, rel=1e-3)


def test_only_an_objective_with_a_critic_gets_one(make_model: Any) -> None:
    def spec(objective: str) -> TrainSpec:
        return TrainSpec.model_validate({"steps": 1, "loss": {"objective": objective}})

    assert critic_for(spec("grpo"), make_model()) is None
    assert critic_for(spec("ppo"), make_model()) is not None


def test_explained_variance_is_of_judged_tokens() -> None:
    returns = [[1.0, 2.0], [math.nan, math.nan], [3.0]]
    assert explained([[1.0, 2.0], [9.0, 9.0], [3.0]], returns) == 1.0
    assert explained([[2.0, 2.0], [9.0, 0.0], [2.0]], returns) == 0.0
    assert explained([[3.0, 2.0], [9.0, 0.0], [1.0]], returns) == -3.0
    assert explained([[1.0], [1.0]], [[2.0], [2.0]]) == 0.0
