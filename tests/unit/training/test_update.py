"""One policy update as a whole: what reaches the weights, whatever the micro-batches."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from assay.contracts.training import TrainSpec
from assay.training.credit import StepBatch, assign_credit, reward_spread
from assay.training.losses import Averaging, importance_weights, kl_loss, policy_loss
from assay.training.policy import Policy
from assay.training.rollout import Rollout
from assay.training.update import scores_itself, shares, update_policy

BUDGET = 12


def train_spec(**changes: Any) -> TrainSpec:
    optimizer = {"learning_rate": 1e-3, "warmup_steps": 0, "max_grad_norm": 1e9}
    return TrainSpec.model_validate({"steps": 1, "optimizer": optimizer} | changes)


def make_policy(make_model: Any, spec: TrainSpec, micro_batch_tokens: int = 10_000) -> Policy:
    return Policy(make_model(), spec.optimizer, spec.temperature, micro_batch_tokens)


def step_batch(policy: Policy, rollouts: list[Rollout], reference: Any = None) -> StepBatch:
    """Old log-probs are the policy's own; the sampler's are a little off, so importance weights differ from 1."""
    old = policy.logprobs(rollouts, policy.model)
    sampled = [
        replace(r, completion=replace(r.completion, logprobs=tuple(value - 0.1 * (i % 3) for value in values)))
        for i, (r, values) in enumerate(zip(rollouts, old, strict=True))
    ]
    return StepBatch(sampled, [4, 4, 4], old, policy.logprobs(rollouts, reference or policy.reference), BUDGET)


def off_policy(batch: StepBatch, drift: float) -> StepBatch:
    """Old log-probs up to so far from the policy's, on either side, each token by another share of it."""
    old = [[value + drift * math.sin(7 * i + 3 * t) for t, value in enumerate(r)] for i, r in enumerate(batch.old)]
    return replace(batch, old=old)


def advantages(batch: StepBatch, spec: TrainSpec) -> list[list[float]]:
    return assign_credit(batch, spec).advantages


def gradient_of_the_whole(policy: Policy, batch: StepBatch, spec: TrainSpec) -> list[torch.Tensor]:
    """One sequence at a time, no padding at all, from the losses module's tested parts."""
    tokens = sum(len(rollout.completion.tokens) for rollout in batch.rollouts)
    average = Averaging(spec.loss.recipe.normaliser, len(batch.rollouts), tokens, BUDGET)
    chosen = advantages(batch, spec)
    policy.model.zero_grad()
    for row, rollout in enumerate(batch.rollouts):
        sequence = [*rollout.prompt_tokens, *rollout.completion_tokens]
        logits = policy.model(torch.tensor([sequence])).logits[0, len(rollout.prompt_tokens) - 1 : -1]
        new = torch.log_softmax(logits / spec.temperature, -1)
        new_1T = new.gather(-1, torch.tensor(rollout.completion.tokens)[:, None])[None, :, 0]
        old_1T, ref_1T = torch.tensor([batch.old[row]]), torch.tensor([batch.reference[row]])
        ones_1T = torch.ones_like(new_1T)
        sampler_1T, advantage_1T = torch.tensor([batch.sampler[row]]), torch.tensor([chosen[row]])
        weights_1T = importance_weights(old_1T, sampler_1T, ones_1T, spec.mismatch).weights_BT
        found = policy_loss(spec.loss.objective, spec.loss.recipe, new_1T, old_1T, advantage_1T, ones_1T)
        average(weights_1T * found.losses_BT + kl_loss(new_1T, ref_1T, old_1T, spec.kl), ones_1T).backward()
    gradients = [parameter.grad.clone() for parameter in policy.model.parameters()]
    policy.model.zero_grad()
    return gradients


@pytest.mark.parametrize(
    "loss",
    [
        *({"objective": name} for name in ("grpo", "dr_grpo", "dapo", "gspo", "cispo", "rloo", "reinforce++")),
        {"objective": "grpo", "clip_high": 0.1, "dual_clip": 1.2, "std": "population"},
    ],
    ids=lambda loss: "-".join(map(str, loss.values())),
)
@pytest.mark.parametrize(
    "kl", [{"coefficient": 0.0}, {"coefficient": 0.5}, {"estimator": "k1_reward"}, {"coefficient": 0.5, "clamp": 0.05}]
)
@pytest.mark.parametrize("drift", [0.0, 0.3])
def test_the_accumulated_gradient_is_that_of_the_whole_update(
    make_model: Any,
    rollouts: list[Rollout],
    monkeypatch: pytest.MonkeyPatch,
    loss: dict[str, Any],
    kl: dict[str, Any],
    drift: float,
) -> None:
    """On policy and off it, where clips act. Completions of zero advantage are left out of the forward pass, never out
    of the normaliser (F16)."""
    spec = train_spec(loss=loss, kl=kl)
    policy = make_policy(make_model, spec, micro_batch_tokens=40)
    batch = off_policy(step_batch(policy, rollouts, reference=make_model(seed=1, spread=0.1)), drift)
    expected = gradient_of_the_whole(policy, batch, spec)
    seen: list[torch.Tensor] = []
    keep = policy.update
    monkeypatch.setattr(
        policy, "update", lambda: seen.extend(p.grad.clone() for p in policy.model.parameters()) or keep()
    )
    metrics = update_policy(policy, batch, advantages(batch, spec), spec)
    for found, whole in zip(seen, expected, strict=True):
        torch.testing.assert_close(found, whole, rtol=1e-3, atol=2e-6)
    norm = math.sqrt(sum(float(gradient.double().square().sum()) for gradient in expected))
    assert metrics["grad_norm"] == pytest.approx(norm, rel=1e-3)


def test_bnpo_averages_within_each_micro_batch_completions_of_no_advantage_included(
    make_model: Any, rollouts: list[Rollout], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = train_spec(loss={"objective": "bnpo"}, kl={"coefficient": 0.0}, mismatch={"weight": "none"})
    policy = make_policy(make_model, spec, micro_batch_tokens=40)
    batch = step_batch(policy, rollouts)
    chosen = advantages(batch, spec)
    micros = policy.batches(batch.rollouts, range(12))
    assert len(micros) > 2
    for micro in micros:
        tokens = sum(len(chosen[row]) for row in micro.rows)
        gains_BT = policy.token_logprobs(micro) * micro.pad(chosen)  # at ratio 1 the gradient is that of A log π
        (-gains_BT.sum() / tokens / len(micros)).backward()
    expected = [parameter.grad.clone() for parameter in policy.model.parameters()]
    policy.model.zero_grad()
    seen: list[torch.Tensor] = []
    keep = policy.update
    monkeypatch.setattr(
        policy, "update", lambda: seen.extend(p.grad.clone() for p in policy.model.parameters()) or keep()
    )
    update_policy(policy, batch, chosen, spec)
    for found, whole in zip(seen, expected, strict=True):
        torch.testing.assert_close(found, whole, rtol=1e-3, atol=2e-6)


def test_groups_without_a_spread_change_nothing(make_model: Any, rollouts: list[Rollout]) -> None:
    spec = train_spec(kl={"coefficient": 0.0})
    policy = make_policy(make_model, spec)
    before = [parameter.detach().clone() for parameter in policy.model.parameters()]
    batch = step_batch(policy, [replace(rollout, reward=1.0) for rollout in rollouts])
    metrics = update_policy(policy, batch, advantages(batch, spec), spec)
    assert all(torch.equal(a, b) for a, b in zip(before, policy.model.parameters(), strict=True))
    assert (metrics["updates"], metrics["grad_norm"], metrics["ratio_max"]) == (0, 0, 1)
    assert reward_spread(batch) == {"mixed_group_share": 0.0}


def test_the_first_update_of_a_step_is_on_policy_and_later_ones_are_not(
    make_model: Any, rollouts: list[Rollout]
) -> None:
    one = train_spec(kl={"coefficient": 0.0})
    policy = make_policy(make_model, one)
    batch = step_batch(policy, rollouts)
    metrics = update_policy(policy, batch, advantages(batch, one), one)
    assert metrics["ratio_max"] == pytest.approx(1.0, abs=1e-5)
    assert metrics["clip_fraction"] == 0.0
    two = one.model_copy(update={"updates_per_step": 2})
    policy = make_policy(make_model, two)
    metrics = update_policy(policy, batch, advantages(batch, two), two)
    assert metrics["updates"] == 2
    assert metrics["ratio_max"] > 1.001


@pytest.mark.parametrize("updates", [1, 2, 3, 5])
def test_updates_share_out_whole_groups_and_leave_none_out(updates: int) -> None:
    sizes = [2, 5, 3, 4]
    dealt = shares(sizes, updates)
    assert sorted(row for share in dealt for row in share) == list(range(14))
    starts = [0, 2, 7, 10]
    for share in dealt:
        for start, size in zip(starts, sizes, strict=True):
            assert len(set(range(start, start + size)) & set(share)) in (0, size)


def test_a_gradient_that_is_not_a_number_is_in_the_metrics_and_not_in_the_weights(
    make_model: Any, rollouts: list[Rollout]
) -> None:
    """max(0.0, nan) is 0.0 in Python: the worst step would have looked like the calmest (F15)."""
    spec = train_spec(kl={"coefficient": 0.0})
    policy = make_policy(make_model, spec)
    batch = step_batch(policy, rollouts)
    broken = replace(batch, old=[[math.nan] * len(values) for values in batch.old])
    metrics = update_policy(policy, broken, advantages(batch, spec), spec)
    assert math.isnan(metrics["grad_norm"])
    assert math.isnan(metrics["ratio_max"])
    assert all(parameter.isfinite().all() for parameter in policy.model.parameters())


def test_padding_of_a_peaked_model_does_not_poison_the_gradient(make_model: Any, rollouts: list[Rollout]) -> None:
    """k3 on a padded position with the pad id at −200 nats overflows; the gradient stays finite (F15)."""
    spec = train_spec(kl={"coefficient": 0.1})
    policy = Policy(make_model(spread=4.0), spec.optimizer, 1.0, 10_000)
    batch = step_batch(policy, rollouts)
    metrics = update_policy(policy, batch, advantages(batch, spec), spec)
    assert math.isfinite(metrics["loss"])
    assert math.isfinite(metrics["grad_norm"])


def test_an_update_that_scores_by_itself_is_the_one_that_was_scored_before(
    make_model: Any, rollouts: list[Rollout]
) -> None:
    """The same gradient step, and the old log-probs are those of the pass before it."""
    spec = train_spec(kl={"estimator": "k3_loss", "coefficient": 0.1})
    found = []
    for scored in (True, False):
        policy = make_policy(make_model, spec)
        batch = step_batch(policy, rollouts, make_model(spread=0.3))
        batch = batch if scored else replace(batch, old=[])
        credit = assign_credit(batch, spec)
        metrics = update_policy(policy, batch, credit.advantages, spec)
        weights = torch.cat([parameter.flatten() for parameter in policy.model.parameters()])
        old = torch.tensor([value for row in batch.old for value in row])
        found.append((weights, old, torch.tensor(metrics["grad_norm"])))
    for first, second in zip(*found, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize(
    ("changed", "itself"),
    [
        ({}, True),
        ({"updates_per_step": 2}, False),
        ({"kl": {"coefficient": 0}}, False),
        ({"kl": {"estimator": "k1_reward"}}, False),
        ({"loss": {"objective": "ppo"}}, False),
    ],
)
def test_old_log_probs_are_made_beforehand_where_the_update_cannot_know_them(changed: Any, itself: bool) -> None:
    spec = TrainSpec.model_validate({"steps": 1} | changed)
    assert scores_itself(spec, processes=1) == itself
    assert not scores_itself(spec, processes=2)
