"""One policy update: advantages, the loss over micro-batches, the optimizer step, and what it looked like.

Completions whose advantage is 0 contribute nothing unless the KL sits in the loss, so they are not run through the
model; they still count in every normaliser (F16).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from assay.contracts.training import TrainSpec
from assay.training.advantages import group_advantages, mixed_groups
from assay.training.batching import TokenBatch
from assay.training.losses import Normaliser, clipped_loss, importance_weights, k1, kl_loss
from assay.training.metrics import largest
from assay.training.policy import Policy, token_logprobs
from assay.training.rollout import Rollout

TokenValues = list[list[float]]
"""Per completion, per token."""


@dataclass(frozen=True, slots=True)
class StepBatch:
    """One step's completions with their token log-probs before the update, in nats."""

    rollouts: list[Rollout]
    group_sizes: list[int]
    old: TokenValues
    """Under the policy as the trainer sees it."""
    reference: TokenValues
    token_budget: int
    """Longest completion any task allows; Dr. GRPO's constant."""

    @property
    def sampler(self) -> TokenValues:
        return [list(rollout.completion.logprobs) for rollout in self.rollouts]


def advantages(batch: StepBatch, spec: TrainSpec) -> list[float]:
    """Group-normalised advantages; `k1_reward` takes off β · (Σ_t (log π − log π_ref) − its group's mean).

    The penalty comes after normalisation: inside it, a group of equal rewards would have its KL noise blown up to unit
    variance and trained on as if it were the task.
    """
    rewards_B = torch.tensor([rollout.reward for rollout in batch.rollouts])
    advantages_B = group_advantages(rewards_B, batch.group_sizes, spec.loss.scale_by_std)
    if spec.kl.estimator == "k1_reward":
        advantages_B = advantages_B - spec.kl.coefficient * _centred_divergence(batch)
    return [float(advantage) for advantage in advantages_B]


def _centred_divergence(batch: StepBatch) -> torch.Tensor:
    """Each completion's sampled log π − log π_ref, less the mean of its group. Shape (B,)."""
    pairs = zip(batch.old, batch.reference, strict=True)
    divergence_B = torch.stack([k1(torch.tensor(old), torch.tensor(ref)).sum() for old, ref in pairs])
    groups = torch.split(divergence_B, batch.group_sizes)
    return torch.cat([group - group.mean() for group in groups])


def reward_spread(batch: StepBatch) -> dict[str, float]:
    """Share of groups that hold both better and worse completions: the only ones that teach."""
    rewards_B = torch.tensor([rollout.reward for rollout in batch.rollouts])
    return {"mixed_group_share": mixed_groups(rewards_B, batch.group_sizes) / len(batch.group_sizes)}


def update_policy(policy: Policy, batch: StepBatch, advantage_B: Sequence[float], spec: TrainSpec) -> dict[str, float]:
    """All updates of one step, each on its share of the groups. Returns the step's update metrics."""
    totals = _Totals()
    for share in _shares(batch.group_sizes, spec.updates_per_step):
        _update_once(policy, batch, advantage_B, share, spec, totals)
    return totals.metrics()


def _shares(group_sizes: Sequence[int], updates: int) -> list[list[int]]:
    """Rows of each update: whole groups, dealt out in turn."""
    starts = [sum(group_sizes[:group]) for group in range(len(group_sizes))]
    dealt = [range(first, len(group_sizes), updates) for first in range(min(updates, len(group_sizes)))]
    return [[row for g in groups for row in range(starts[g], starts[g] + group_sizes[g])] for groups in dealt]


def _update_once(
    policy: Policy, batch: StepBatch, advantage_B: Sequence[float], share: list[int], spec: TrainSpec, totals: _Totals
) -> None:
    kl_in_loss = spec.kl.estimator != "k1_reward" and spec.kl.coefficient > 0
    rows = [row for row in share if kl_in_loss or advantage_B[row] != 0]
    if not rows:
        return
    tokens = sum(len(batch.rollouts[row].completion.tokens) for row in share)
    normaliser = Normaliser(spec.loss.normaliser, len(share), tokens, batch.token_budget)
    for micro in policy.batches(batch.rollouts, rows):
        _backward(policy, batch, micro, advantage_B, normaliser, spec, totals)
    stats = policy.update()
    totals.updates += 1
    totals.grad_norm = largest(totals.grad_norm, stats.norm)
    totals.grad_rms = largest(totals.grad_rms, stats.rms)
    totals.learning_rate = stats.learning_rate


def _backward(
    policy: Policy,
    batch: StepBatch,
    micro: TokenBatch,
    advantage_B: Sequence[float],
    normaliser: Normaliser,
    spec: TrainSpec,
    totals: _Totals,
) -> None:
    old_BT, ref_BT = micro.pad(batch.old), micro.pad(batch.reference)
    weights_BT = importance_weights(old_BT, micro.pad(batch.sampler), spec.loss.importance_cap)
    logprobs_BT = token_logprobs(policy.model, micro, policy.temperature)
    chosen_B = torch.tensor([advantage_B[row] for row in micro.rows], device=logprobs_BT.device)
    losses_BT = clipped_loss(logprobs_BT, old_BT, chosen_B, weights_BT, spec.loss)
    loss = normaliser(losses_BT + kl_loss(logprobs_BT, ref_BT, spec.kl), micro.mask_BT)
    loss.backward()  # type: ignore[no-untyped-call]
    totals.add(loss, (logprobs_BT - old_BT).detach().exp(), weights_BT, micro.mask_BT.bool(), spec)


class _Totals:
    """Running figures over the micro-batches and updates of one step."""

    def __init__(self) -> None:
        self.updates = 0
        self.loss = 0.0
        self.tokens = 0
        self.clipped = 0
        self.ratio_max = 1.0
        self.weight_sum = 0.0
        self.weight_min = 1.0
        self.grad_norm = 0.0
        self.grad_rms = 0.0
        self.learning_rate = 0.0

    def add(
        self,
        loss: torch.Tensor,
        ratio_BT: torch.Tensor,
        weights_BT: torch.Tensor,
        mask_BT: torch.Tensor,
        spec: TrainSpec,
    ) -> None:
        """Figures of one micro-batch, over its real tokens."""
        ratios, weights = ratio_BT[mask_BT], weights_BT[mask_BT]
        outside = (ratios < 1 - spec.loss.clip_low) | (ratios > 1 + spec.loss.clip_high)
        self.loss += float(loss.detach())
        self.tokens += ratios.numel()
        self.clipped += int(outside.sum())
        self.ratio_max = largest(self.ratio_max, float(ratios.max()))
        self.weight_sum += float(weights.sum())
        self.weight_min = -largest(-self.weight_min, -float(weights.min()))

    def metrics(self) -> dict[str, float]:
        """The step's update metrics. Without a single mixed group nothing is updated: no gradient, ratio 1."""
        return {
            "updates": float(self.updates),
            "loss": self.loss / max(1, self.updates),
            "ratio_max": self.ratio_max,
            "clip_fraction": self.clipped / max(1, self.tokens),
            "importance_weight_mean": self.weight_sum / self.tokens if self.tokens else 1.0,
            "importance_weight_min": self.weight_min,
            "grad_norm": self.grad_norm,
            "grad_rms": self.grad_rms,
            "learning_rate": self.learning_rate,
        }
