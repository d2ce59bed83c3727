"""One policy update: the loss over micro-batches, the optimizer step, and what it looked like.

Completions whose advantage is 0 contribute nothing unless the KL sits in the loss, so they are not run through the
model; they still count in every normaliser (F16).
"""

from __future__ import annotations

from collections.abc import Sequence

from assay.contracts.training import TrainSpec
from assay.training.batching import TokenBatch
from assay.training.credit import StepBatch, TokenValues
from assay.training.losses import Averaging, importance_weights, kl_loss, policy_loss
from assay.training.policy import Policy
from assay.training.totals import UpdateTotals


def update_policy(policy: Policy, batch: StepBatch, advantages: TokenValues, spec: TrainSpec) -> dict[str, float]:
    """All updates of one step, each on its share of the groups. Returns the step's update metrics."""
    totals = UpdateTotals()
    for share in shares(batch.group_sizes, spec.updates_per_step):
        _update_once(policy, batch, advantages, share, spec, totals)
    totals.share(policy.world)
    return totals.metrics()


def shares(group_sizes: Sequence[int], updates: int) -> list[list[int]]:
    """Rows of each update: whole groups, dealt out in turn."""
    starts = [sum(group_sizes[:group]) for group in range(len(group_sizes))]
    dealt = [range(first, len(group_sizes), updates) for first in range(min(updates, len(group_sizes)))]
    return [[row for g in groups for row in range(starts[g], starts[g] + group_sizes[g])] for groups in dealt]


def _update_once(
    policy: Policy, batch: StepBatch, advantages: TokenValues, share: list[int], spec: TrainSpec, totals: UpdateTotals
) -> None:
    normaliser = spec.loss.recipe.normaliser
    needs_all = spec.kl.in_loss or normaliser == "micro_batch"
    rows = [row for row in share if needs_all or any(advantages[row])]
    if not rows:
        return
    micros = policy.batches(batch.rollouts, rows)
    tokens = sum(len(batch.rollouts[row].completion.tokens) for row in share)
    cuts = sum(policy.world.gather(sum(bool(micro.rows) for micro in micros)))
    average = Averaging(normaliser, len(share), tokens, batch.token_budget, cuts)
    totals.laid_out(micros, [batch.rollouts[row] for row in rows])
    for micro in micros:
        _backward(policy, batch, micro, advantages, average, spec, totals)
    totals.updated(policy.update())


def _backward(
    policy: Policy,
    batch: StepBatch,
    micro: TokenBatch,
    advantages: TokenValues,
    average: Averaging,
    spec: TrainSpec,
    totals: UpdateTotals,
) -> None:
    old_BT, mask_BT, recipe = micro.pad(batch.old), micro.mask_BT, spec.loss.recipe
    importance = importance_weights(old_BT, micro.pad(batch.sampler), mask_BT, spec.mismatch)
    logprobs_BT = policy.token_logprobs(micro)
    surrogate = policy_loss(spec.loss.objective, recipe, logprobs_BT, old_BT, micro.pad(advantages), mask_BT)
    kl_BT = kl_loss(logprobs_BT, micro.pad(batch.reference), old_BT, spec.kl)
    loss = average(importance.weights_BT * surrogate.losses_BT + kl_BT, mask_BT)
    policy.backward(loss)
    totals.add(loss, surrogate.ratio_BT, importance, mask_BT.bool(), recipe)
