"""Activation checkpointing: the same gradient, blocks run twice, and no dropout switched on by it."""

from __future__ import annotations

from typing import Any

import torch

from assay.contracts.training import OptimizerSpec
from assay.training.policy import Policy
from assay.training.rollout import Rollout


def test_recomputed_activations_give_the_same_bits(make_model: Any, rollouts: list[Rollout]) -> None:
    gradients, calls = {}, {}
    for wanted in (False, True):
        policy = Policy(make_model(attention_dropout=0.5), OptimizerSpec(), 1.0, 10_000, recompute=wanted)
        runs: list[int] = []
        policy.model.model.layers[0].mlp.register_forward_pre_hook(lambda *_, runs=runs: runs.append(1))
        (batch,) = policy.batches(rollouts, [0, 4, 8])  # no two of one prompt, which would be run once for both
        policy.backward(policy.token_logprobs(batch).sum())
        gradients[wanted] = [parameter.grad for parameter in policy.model.parameters()]
        calls[wanted] = len(runs)
        assert not any(module.training for module in policy.model.modules())
    assert calls == {False: 1, True: 2}
    assert all(torch.equal(a, b) for a, b in zip(gradients[False], gradients[True], strict=True))
