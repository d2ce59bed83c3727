"""Forward passes over a micro-batch in which many completions continue the same prompt: it is run once for all.

    8 completions of 100 tokens to a prompt of 300    in whole sequences 3,200 tokens; with a shared prompt 1,107

The completions then run on copies of the prompt's keys and values, through which its share of the gradient flows back
(Prefix Grouper, 2506.05433). What comes out is the same up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

from assay.training.batching import TokenBatch

Run = Callable[[dict[str, Any], int | torch.Tensor], torch.Tensor]
"""(a model's inputs, columns) -> what it says at the last so many positions, or at these. Shape (B, columns, ·)."""


def can_share_prompts(model: PreTrainedModel) -> bool:
    """Whether gradients flow through the model's cache: not where a state is overwritten, as linear attention does, nor
    where blocks are computed again in the backward pass, for then transformers drops the cache."""
    cache = DynamicCache(config=model.config)
    return not model.is_gradient_checkpointing and all(type(layer) is DynamicLayer for layer in cache.layers)


def over_sequences(run: Run, batch: TokenBatch) -> torch.Tensor:
    """Prompt and completion in one row. Returns what predicts each completion token, shape (B, T, ·)."""
    inputs = {
        "input_ids": batch.input_BS,
        "attention_mask": batch.attention_BS,
        "position_ids": batch.position_BS,
        "use_cache": False,
    }
    return run(inputs, batch.target_BT.shape[1] + 1)[:, :-1]


def over_shared_prompts(model: PreTrainedModel, run: Run, batch: TokenBatch) -> torch.Tensor:
    """The same, each distinct prompt first and once, but for its last token, which predicts the completion's first."""
    start = batch.input_BS.shape[1] - batch.target_BT.shape[1] - 1
    if start == 0:
        return over_sequences(run, batch)
    row_U, prompt_B = _distinct(batch.input_BS[:, :start], batch.attention_BS[:, :start])
    if len(row_U) == len(prompt_B):
        return over_sequences(run, batch)
    cache = DynamicCache(config=model.config)
    prompts = {
        "input_ids": batch.input_BS[row_U, :start],
        "attention_mask": batch.attention_BS[row_U, :start],
        "position_ids": batch.position_BS[row_U, :start],
        "past_key_values": cache,
    }
    model.get_decoder()(**prompts)
    cache.batch_select_indices(prompt_B)
    completions = {
        "input_ids": batch.input_BS[:, start:-1],
        "attention_mask": batch.attention_BS[:, :-1],
        "position_ids": batch.position_BS[:, start:-1],
        "past_key_values": cache,
    }
    return run(completions, batch.target_BT.shape[1])


def _distinct(input_BP: torch.Tensor, attention_BP: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(a row of each distinct prompt, the place of each row's prompt among them). Shapes (U,) and (B,)."""
    told_BP = torch.where(attention_BP.bool(), input_BP, -1)
    _, prompt_B = torch.unique(told_BP, dim=0, return_inverse=True)
    row_U = torch.stack([(prompt_B == prompt).nonzero()[0, 0] for prompt in range(int(prompt_B.max()) + 1)])
    return row_U, prompt_B
