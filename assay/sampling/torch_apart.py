"""The torch sampler on a model of its own: it writes with older weights while the trainer's model moves on."""

from __future__ import annotations

import copy
from collections.abc import Iterable

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from assay.contracts.sampling import Score
from assay.sampling.torch_engine import TorchSampler


class ApartTorchSampler(TorchSampler):
    """`TorchSampler` on a copy of the model as it is now, until it is given other weights."""

    def __init__(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_batch_sequences: int) -> None:
        apart = copy.deepcopy(model)  # not frozen: without gradients torch has other kernels, of other bits
        super().__init__(apart, tokenizer, max_batch_sequences)
        self.parameters = dict(apart.named_parameters())

    @torch.no_grad()
    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]], score: Score | None) -> None:  # noqa: ARG002
        """Copy them, name by name; the copy is exact, so there is nothing to compare."""
        for name, tensor in weights:
            self.parameters[name].copy_(tensor)
