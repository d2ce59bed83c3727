"""Forward passes without padding: completions end to end, each seeing itself alone (2107.02027).

    | prompt completion | prompt completion        |     as many rows as it takes, none wider than the longest sequence,
    | prompt completion | prompt completion | free |     and positions begin anew where a sequence begins

transformers cuts attention where positions do, by a mask: a sequence pays for attention over its row, as a padded one
does, and no more.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer, DynamicSlidingWindowLayer

from assay.training.batching import TokenBatch
from assay.training.cuts import Bins
from assay.training.prefix import Run


def can_pack(model: PreTrainedModel) -> bool:
    """Whether attention is all that mixes positions: a recurrent state or a convolution would run on into the next."""
    layers = DynamicCache(config=model.config).layers
    return bool(layers) and all(type(layer) in (DynamicLayer, DynamicSlidingWindowLayer) for layer in layers)


def over_packed(run: Run, batch: TokenBatch) -> torch.Tensor:
    """What predicts each completion token, shape (B, T, ·), as `prefix.over_sequences` tells it."""
    starts, shape_KW = _laid_out(batch)
    there_BS, mask_BT = batch.attention_BS.bool(), batch.mask_BT.bool()
    place_BS = torch.tensor(starts, device=there_BS.device)[:, None] + batch.position_BS
    inputs: dict[str, Any] = {
        "input_ids": _placed(batch.input_BS[there_BS], place_BS[there_BS], shape_KW),
        "position_ids": _placed(batch.position_BS[there_BS], place_BS[there_BS], shape_KW),
        "use_cache": False,
    }
    before_N = place_BS[:, -mask_BT.shape[1] :][mask_BT] - 1
    found_N = run(inputs, shape_KW[1]).flatten(0, 1)[before_N]
    found = found_N.new_zeros(*mask_BT.shape, *found_N.shape[1:])
    return found.masked_scatter(mask_BT[..., None], found_N)


def packed_positions(batch: TokenBatch) -> int:
    """How many positions `over_packed` runs."""
    rows, width = _laid_out(batch)[1]
    return rows * width


def _laid_out(batch: TokenBatch) -> tuple[list[int], tuple[int, int]]:
    """Where each sequence begins in rows that lie one behind the other, and the number of rows and their width."""
    lengths = batch.attention_BS.sum(-1).tolist()
    bins = Bins(max(lengths), len(lengths))
    starts = [row * bins.width + start for row, start in filter(None, map(bins.put, lengths))]
    return starts, (len(bins.filled), bins.width)


def _placed(values_N: torch.Tensor, place_N: torch.Tensor, shape_KW: tuple[int, int]) -> torch.Tensor:
    """Values at their places, 0 where nothing lies: a position of 0 begins a sequence, so free places see no other."""
    return values_N.new_zeros(shape_KW[0] * shape_KW[1]).index_put((place_N,), values_N).view(shape_KW)
