"""A model with other weights than the one a sampler was started with, and what the two are compared on."""

from __future__ import annotations

from typing import Any

import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.precision import BOUNDS
from assay.contracts.sampling import SampleRequest
from assay.contracts.seeds import derive
from assay.sampling.agreement import Comparison
from assay.sampling.models import load_model

PROBES = [SampleRequest(tuple(range(10 + i, 30 + i)), derive(i), 32, 1.0) for i in range(4)]
IN_FP32 = Comparison(PROBES, BOUNDS["fp32"].gap)
IN_BF16 = Comparison(PROBES, BOUNDS["bf16"].gap)


def changed(model: ModelSpec, seed: int) -> Any:
    """The model with weights that are clearly others, the embedding among them."""
    other = load_model(model, torch.device("cpu"))
    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in other.parameters():
            weight += 0.2 * weight.std().nan_to_num(0.1) * torch.randn_like(weight)
    return other
