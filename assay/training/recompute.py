"""Activation checkpointing: a block's activations are computed again in the backward pass instead of being kept.

transformers recomputes blocks in training mode only, and drops the cache of a sampler there; so blocks are in training
mode just while a forward pass that will be differentiated runs. Their parts stay in evaluation mode: no dropout.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import PreTrainedModel
from transformers.modeling_layers import GradientCheckpointingLayer


@contextmanager
def recomputing(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, forward passes of a model that is to recompute keep the inputs of its blocks alone."""
    parts = model.modules() if model.is_gradient_checkpointing else ()
    blocks = [part for part in parts if isinstance(part, GradientCheckpointingLayer)]
    _switch(blocks, on=True)
    try:
        yield
    finally:
        _switch(blocks, on=False)


def _switch(blocks: list[GradientCheckpointingLayer], on: bool) -> None:
    for block in blocks:
        block.training = on
