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
def recomputing(model: PreTrainedModel, wanted: bool) -> Iterator[None]:
    """Within the block, forward passes keep the inputs of each transformer block alone."""
    blocks = [part for part in model.modules() if isinstance(part, GradientCheckpointingLayer)] if wanted else []
    if blocks and not blocks[0].gradient_checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
    _switch(blocks, on=True)
    try:
        yield
    finally:
        _switch(blocks, on=False)


def _switch(blocks: list[GradientCheckpointingLayer], on: bool) -> None:
    for block in blocks:
        block.training = on
