"""One policy update: the loss over micro-batches, the optimizer step, and what it looked like.

Completions whose advantage is 0 contribute nothing unless the KL sits in the loss, so they are not run through the
model; they still count in every normaliser (F16).

Where a step makes one update, and that update runs every completion, its own log-probs are the old ones: the ratio is 1
and only its gradient counts, so the policy need not score the completions once more beforehand.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from assay.contracts.training import TrainSpec
from assay.training.batching import TokenBatch
from assay.training.credit import StepBatch, TokenValues
from assay.training.losses import Averaging, importance_weights, kl_loss, policy_loss
from assay.training.policy import Policy
from assay.training.totals import UpdateTotals


def scores_itself(spec: TrainSpec, processes: int) -> bool:
    """Whether the update of a step finds the old log-probs by itself: no others are needed before it."""
    alone = processes == 1 and spec.updates_per_step == 1
    return alone and spec.kl.in_loss and spec.loss.recipe.advantage != "gae"


def update_policy(policy: Policy, batch: StepBatch, advantages: TokenValues, spec: TrainSpec) -> dict[str, float]:
    """All updates of one step, each on its share of the groups. Returns the step's update metrics.

    A batch without old log-probs has them afterwards.
    """
    return _Update(policy, batch, advantages, spec).run()


def shares(group_sizes: Sequence[int], updates: int) -> list[list[int]]:
    """Rows of each update: whole groups, dealt out in turn."""
    starts = [sum(group_sizes[:group]) for group in range(len(group_sizes))]
    dealt = [range(first, len(group_sizes), updates) for first in range(min(updates, len(group_sizes)))]
    return [[row for g in groups for row in range(starts[g], starts[g] + group_sizes[g])] for groups in dealt]


class _Update:
    """The updates of one step while they are made."""

    def __init__(self, policy: Policy, batch: StepBatch, advantages: TokenValues, spec: TrainSpec) -> None:
        self.policy = policy
        self.batch = batch
        self.advantages = advantages
        self.spec = spec
        self.lengths = batch.lengths
        self.totals = UpdateTotals()
        self.own: dict[int, list[float]] = {}
        """Log-probs that the update found by itself, by row."""

    def run(self) -> dict[str, float]:
        for share in shares(self.batch.group_sizes, self.spec.updates_per_step):
            self._once(share)
        self.batch.old.extend(self.own[row] for row in sorted(self.own))
        self.totals.share(self.policy.world)
        return self.totals.metrics()

    def _once(self, share: list[int]) -> None:
        normaliser = self.spec.loss.recipe.normaliser
        needs_all = self.spec.kl.in_loss or normaliser == "micro_batch"
        rows = [row for row in share if needs_all or any(self.advantages[row])]
        if not rows:
            return
        micros = self.policy.batches(self.batch.rollouts, rows)
        tokens = sum(self.lengths[row] for row in share)
        real = [micro for micro in micros if micro.rows]
        self.totals.laid_out(sum(map(self.policy.positions, real)), [self.batch.rollouts[row] for row in rows])
        cuts = sum(self.policy.world.gather(len(real)))
        average = Averaging(normaliser, len(share), tokens, self.batch.token_budget, cuts)
        for micro in micros:
            self._backward(micro, average)
        self.totals.updated(self.policy.update())

    def _backward(self, micro: TokenBatch, average: Averaging) -> None:
        batch, spec, mask_BT, recipe = self.batch, self.spec, micro.mask_BT, self.spec.loss.recipe
        logprobs_BT = self.policy.token_logprobs(micro)
        old_BT = micro.pad(batch.old) if batch.old else self._keep(micro, logprobs_BT.detach())
        importance = importance_weights(old_BT, micro.pad(batch.sampler), mask_BT, spec.mismatch)
        advantages_BT = micro.pad(self.advantages)
        surrogate = policy_loss(spec.loss.objective, recipe, logprobs_BT, old_BT, advantages_BT, mask_BT)
        kl_BT = kl_loss(logprobs_BT, micro.pad(batch.reference), old_BT, spec.kl)
        loss = average(importance.weights_BT * surrogate.losses_BT + kl_BT, mask_BT)
        self.policy.backward(loss)
        self.totals.add(loss, surrogate.ratio_BT, importance, mask_BT.bool(), recipe)

    def _keep(self, micro: TokenBatch, logprobs_BT: torch.Tensor) -> torch.Tensor:
        for row, values in zip(micro.rows, logprobs_BT.tolist(), strict=True):
            self.own[row] = values[: self.lengths[row]]
        return logprobs_BT
