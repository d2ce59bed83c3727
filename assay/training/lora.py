"""Low-rank adapters: put into a model, and merged into its weights again.

peft puts `X.lora_A` and `X.lora_B` beside a linear layer `X`, whose own weight becomes `X.base_layer.weight`, frozen:

    merged X.weight = X.base_layer.weight + alpha / rank · lora_B · lora_A
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from transformers import PreTrainedModel

from assay.contracts.errors import SpecError
from assay.contracts.training import LoRASpec

_BASE, _A, _B = ".base_layer.", ".lora_A.default.weight", ".lora_B.default.weight"


def frozen_twin(model: PreTrainedModel) -> PreTrainedModel:
    """A second model on the same tensors. Adapters put into the first leave it as it is: a reference for nothing."""
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin: PreTrainedModel = copy.deepcopy(model, shared)
    return twin.eval()


def add_adapters(model: PreTrainedModel, spec: LoRASpec) -> None:
    """Freeze the model and put adapters into it that change nothing yet: A is random, the same in every process, and
    B is 0. Raises SpecError where peft is not installed or finds no layer of those names."""
    try:
        from peft import LoraConfig
    except ImportError as error:
        raise SpecError("train.engine.lora", "peft is not installed", "Install assay[scale]") from error
    targets = list(spec.targets) or "all-linear"
    config = LoraConfig(r=spec.rank, lora_alpha=spec.alpha, target_modules=targets, task_type="CAUSAL_LM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        try:
            model.add_adapter(config)
        except ValueError as error:
            remedy = "Name linear layers of the model, such as q_proj, or leave it empty"
            raise SpecError("train.engine.lora.targets", str(error), remedy) from error


def merged(weights: Mapping[str, torch.Tensor], spec: LoRASpec) -> dict[str, torch.Tensor]:
    """Weights under the names of the model without adapters, in fp32."""
    found = {}
    for name, tensor in weights.items():
        if _BASE in name and name.endswith("weight"):
            layer = name.removesuffix(f"{_BASE}weight")
            found[f"{layer}.weight"] = tensor + weights[layer + _B] @ weights[layer + _A] * (spec.alpha / spec.rank)
        elif not name.endswith((_A, _B)):
            found[name.replace(_BASE, ".")] = tensor
    return found
