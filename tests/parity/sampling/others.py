"""A model with other weights than the one a sampler was started with."""

from __future__ import annotations

from typing import Any

import torch

from assay.contracts.ablation import ModelSpec
from assay.sampling.models import load_model


def changed(model: ModelSpec, seed: int) -> Any:
    """The model with weights that are clearly others, the embedding among them."""
    other = load_model(model, torch.device("cpu"))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            weight += 0.2 * weight.std().nan_to_num(0.1) * torch.randn_like(weight)
    return other
