"""Forward passes without padding: the rows of a micro-batch end to end in one, each seeing itself alone (2107.02027).

    | prompt completion | prompt completion | prompt completion |        positions begin anew where a row begins

transformers cuts attention where positions do: with a mask on SDPA, which still pays for the whole row, and by
varlen kernels on FlashAttention, which do not.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from assay.training.batching import TokenBatch
from assay.training.prefix import Run


def can_pack(model: PreTrainedModel) -> bool:
    """Whether attention is all that mixes positions: a recurrent state or a convolution would run on into the next."""
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def over_packed(run: Run, batch: TokenBatch) -> torch.Tensor:
    """What predicts each completion token, shape (B, T, ·), as `prefix.over_sequences` tells it."""
    there_BS = batch.attention_BS.bool()
    inputs: dict[str, Any] = {
        "input_ids": batch.input_BS[there_BS][None],
        "position_ids": batch.position_BS[there_BS][None],
        "use_cache": False,
    }
    mask_BT = batch.mask_BT.bool()
    place_BS = there_BS.flatten().cumsum(0).view_as(there_BS) - 1
    before_BT = place_BS[:, -mask_BT.shape[1] - 1 : -1]
    found_N = run(inputs, before_BT[mask_BT])[0]
    found = found_N.new_zeros(*mask_BT.shape, *found_N.shape[1:])
    return found.masked_scatter(mask_BT[..., None], found_N)
