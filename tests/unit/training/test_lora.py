"""Adapters: put in, trained, merged as peft merges them, and exactly resumed."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assay.contracts.errors import SpecError
from assay.contracts.training import LoRASpec, OptimizerSpec
from assay.training.policy import Policy
from assay.training.rollout import Rollout

peft = pytest.importorskip("peft")
SPEC, ADAMW = LoRASpec(rank=4, alpha=12), OptimizerSpec(learning_rate=1e-2, warmup_steps=0)


def trained(make_model: Any, updates: int, spec: LoRASpec = SPEC) -> Policy:
    policy = Policy(make_model(), ADAMW, 1.0, 1000, lora=spec)
    train(policy, updates)
    return policy


def train(policy: Policy, updates: int) -> None:
    for _ in range(updates):
        inputs = torch.arange(20)[None] + policy.updates
        policy.backward(policy.model(inputs, labels=inputs).loss)
        policy.update()


def test_new_adapters_change_nothing_and_the_reference_never_has_them(make_model: Any, rollouts: list[Rollout]) -> None:
    policy, plain = trained(make_model, 0), make_model()
    before = policy.logprobs(rollouts, policy.model)
    for other in (plain, policy.reference):
        for mine, theirs in zip(before, policy.logprobs(rollouts, other), strict=True):
            assert mine == pytest.approx(theirs, abs=1e-6)
    start = policy.logprobs(rollouts, policy.reference)
    train(policy, 2)
    assert policy.logprobs(rollouts, policy.model) != before
    assert policy.logprobs(rollouts, policy.reference) == start


def test_the_reference_of_adapters_costs_no_memory(make_model: Any) -> None:
    policy = trained(make_model, 1)
    shared = {parameter.data_ptr() for parameter in policy.model.parameters()}
    assert {parameter.data_ptr() for parameter in policy.reference.parameters()} <= shared


def test_only_adapters_are_trained_on_every_linear_layer_but_the_output(make_model: Any) -> None:
    policy = trained(make_model, 0)
    assert all(".lora_" in name for name in policy.trained)
    layers = {name.split(".lora_")[0] for name in policy.trained}
    assert len(layers) == 2 * 7
    assert not any("lm_head" in layer or "embed" in layer for layer in layers)
    assert len(trained(make_model, 0, LoRASpec(targets=("q_proj",))).trained) == 2 * 2


def test_merged_weights_are_pefts_and_have_the_names_of_the_start_model(make_model: Any) -> None:
    policy = trained(make_model, 3)
    found = policy.weights()
    assert set(found) == {name for name, _ in make_model().named_parameters()}
    for layer in (module for module in policy.model.modules() if hasattr(module, "get_delta_weight")):
        layer.merge()
    start = make_model().state_dict()
    theirs = {
        name.replace(".base_layer", ""): tensor
        for name, tensor in policy.model.named_parameters()
        if ".lora_" not in name
    }
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, theirs[name], rtol=0, atol=1e-7)
    assert any(not torch.equal(found[name], start[name]) for name in found)


def test_a_model_with_merged_weights_says_what_the_policy_says(make_model: Any, rollouts: list[Rollout]) -> None:
    policy, exported = trained(make_model, 3), make_model()
    exported.load_state_dict(policy.weights() | {"lm_head.weight": policy.weights()["model.embed_tokens.weight"]})
    mine, theirs = policy.logprobs(rollouts, policy.model), policy.logprobs(rollouts, exported)
    for a, b in zip(mine, theirs, strict=True):
        assert a == pytest.approx(b, abs=1e-5)


def test_a_resumed_policy_goes_on_to_the_same_bits(make_model: Any) -> None:
    policy, resumed = trained(make_model, 2), trained(make_model, 0)
    resumed.restore(policy.weights(), policy.moments(), policy.counters())
    for other in (policy, resumed):
        train(other, 2)
    for name, parameter in policy.trained.items():
        assert torch.equal(parameter, resumed.trained[name]), name


def test_layers_that_are_not_there_are_named(make_model: Any) -> None:
    with pytest.raises(SpecError, match=r"train\.engine\.lora\.targets.*nowhere"):
        trained(make_model, 0, LoRASpec(targets=("nowhere",)))
