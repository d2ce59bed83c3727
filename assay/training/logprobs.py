"""Log-probs of completions under a model.

One definition serves loss, KL and checks: log softmax(logits / temperature) of the sampled token, in fp32, no top-p or
top-k (F09). Logits of shape (B, T, V) exist in full only where they are small. Else they are made a few tokens at a
time from the last hidden states, in the forward pass and again in the backward pass:

    4,096 tokens x 151,936 words are 2.5 GB in fp32, several times over with their gradients; 512 at a time, 0.3 GB
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from assay.training.batching import TokenBatch
from assay.training.prefix import Run, can_share_prompts, over_sequences, over_shared_prompts

WHOLE_LOGITS = 1 << 25
"""Up to so many logits (128 MiB in fp32) are made at once: the plain way is faster where it fits."""
CHUNK_TOKENS = 512
_SHAPED_LOGITS = (
    "final_logit_softcapping",  # Gemma
    "logit_scale",  # Cohere
    "logits_scaling",  # Granite
    "lm_head_multiplier",  # Falcon-H1
)
"""Settings of models that change logits behind the output layer: the chunked way does not know them."""

Over = Callable[[Run, TokenBatch], torch.Tensor]
"""A way of running a model over a micro-batch: `assay.training.prefix` has two."""


def token_logprobs(model: PreTrainedModel, batch: TokenBatch, temperature: float) -> torch.Tensor:
    """Log-probs of a micro-batch's completion tokens under a model, nats, shape (B, T); zero on padding.

    Padding is cleared here, before any exponential: e^r of an unlikely pad id is infinite, and inf · 0 is NaN.
    """
    if not can_share_prompts(model):
        return _logprobs(model, batch, temperature, over_sequences)
    return _logprobs(model, batch, temperature, partial(over_shared_prompts, model))


def _logprobs(model: PreTrainedModel, batch: TokenBatch, temperature: float, over: Over) -> torch.Tensor:
    chunked = batch.target_BT.numel() * model.config.get_text_config().vocab_size > WHOLE_LOGITS
    score = _in_chunks if chunked and has_plain_head(model) else _at_once
    return score(model, batch, temperature, over).masked_fill(batch.mask_BT == 0, 0.0)


def has_plain_head(model: PreTrainedModel) -> bool:
    """Whether logits are the output layer's of the last hidden states, and nothing more."""
    config = model.config.get_text_config()
    return model.get_output_embeddings() is not None and not any(getattr(config, name, None) for name in _SHAPED_LOGITS)


def _at_once(model: PreTrainedModel, batch: TokenBatch, temperature: float, over: Over) -> torch.Tensor:
    def logits(inputs: dict[str, Any], columns: int) -> torch.Tensor:
        made: torch.Tensor = model(**inputs, logits_to_keep=columns).logits
        return made

    return _chosen(over(logits, batch), batch.target_BT, temperature)


def _in_chunks(model: PreTrainedModel, batch: TokenBatch, temperature: float, over: Over) -> torch.Tensor:
    """The same, over hidden states cut along batch and time."""
    decoder, head = model.get_decoder(), model.get_output_embeddings()

    def hidden(inputs: dict[str, Any], columns: int) -> torch.Tensor:
        states: torch.Tensor = decoder(**inputs).last_hidden_state
        return states[:, -columns:]

    def score(hidden_CH: torch.Tensor, target_C: torch.Tensor) -> torch.Tensor:
        return _chosen(head(hidden_CH), target_C, temperature)

    hidden_NH, target_N = over(hidden, batch).flatten(0, 1), batch.target_BT.flatten()
    pieces = zip(torch.split(hidden_NH, CHUNK_TOKENS), torch.split(target_N, CHUNK_TOKENS), strict=True)
    scored = [checkpoint(score, hidden_CH, target_C, use_reentrant=False) for hidden_CH, target_C in pieces]
    return torch.cat(scored).view_as(batch.target_BT)


def _chosen(logits: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """log softmax(logits / temperature) at the target; shapes (…, V) and (…)."""
    return torch.log_softmax(logits.float() / temperature, dim=-1).gather(-1, target[..., None])[..., 0]


class Scorer(torch.nn.Module):
    """A model whose forward pass is `token_logprobs`, for what wraps modules, as DeepSpeed does.

    It runs whole sequences: under ZeRO 3 every process must make the same number of passes, whatever prompts it has.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: TokenBatch, temperature: float) -> torch.Tensor:
        return _logprobs(self.model, batch, temperature, over_sequences)
