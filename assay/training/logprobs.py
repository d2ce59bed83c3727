"""Log-probs of completions under a model.

One definition serves loss, KL and checks: log softmax(logits / temperature) of the sampled token, in fp32, no top-p or
top-k (F09). Logits of shape (B, T, V) exist in full only where they are small. Else they are made a few tokens at a
time from the last hidden states, in the forward pass and again in the backward pass:

    4,096 tokens x 151,936 words are 2.5 GB in fp32, several times over with their gradients; 512 at a time, 0.3 GB
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint
from transformers import PreTrainedModel

from assay.training.batching import TokenBatch

WHOLE_LOGITS = 1 << 25
"""Up to so many logits (128 MiB in fp32) are made at once: the plain way is faster where it fits."""
CHUNK_TOKENS = 512
_SHAPED_LOGITS = ("final_logit_softcapping", "logit_scale", "logits_scaling", "logits_softcapping", "lm_head_multiplier")
"""Settings of models that change logits behind the output layer: the chunked way does not know them."""


def token_logprobs(model: PreTrainedModel, batch: TokenBatch, temperature: float) -> torch.Tensor:
    """Log-probs of a micro-batch's completion tokens under a model, nats, shape (B, T); zero on padding.

    Padding is cleared here, before any exponential: e^r of an unlikely pad id is infinite, and inf · 0 is NaN.
    """
    inputs: dict[str, Any] = {
        "input_ids": batch.input_BS,
        "attention_mask": batch.attention_BS,
        "position_ids": batch.position_BS,
        "use_cache": False,
    }
    chunked = batch.target_BT.numel() * model.config.get_text_config().vocab_size > WHOLE_LOGITS
    score = _in_chunks if chunked and has_plain_head(model) else _at_once
    return score(model, inputs, batch.target_BT, temperature).masked_fill(batch.mask_BT == 0, 0.0)


def has_plain_head(model: PreTrainedModel) -> bool:
    """Whether logits are the output layer's of the last hidden states, and nothing more."""
    config = model.config.get_text_config()
    return model.get_output_embeddings() is not None and not any(getattr(config, name, None) for name in _SHAPED_LOGITS)


def _at_once(
    model: PreTrainedModel, inputs: dict[str, Any], target_BT: torch.Tensor, temperature: float
) -> torch.Tensor:
    logits_BTV = model(**inputs, logits_to_keep=target_BT.shape[1] + 1).logits[:, :-1]
    return _chosen(logits_BTV, target_BT, temperature)


def _in_chunks(
    model: PreTrainedModel, inputs: dict[str, Any], target_BT: torch.Tensor, temperature: float
) -> torch.Tensor:
    """The same, over hidden states cut along batch and time."""
    width = target_BT.shape[1]
    hidden_NH = model.get_decoder()(**inputs).last_hidden_state[:, -width - 1 : -1].flatten(0, 1)
    head = model.get_output_embeddings()

    def score(hidden_CH: torch.Tensor, target_C: torch.Tensor) -> torch.Tensor:
        return _chosen(head(hidden_CH), target_C, temperature)

    pieces = zip(hidden_NH.split(CHUNK_TOKENS), target_BT.flatten().split(CHUNK_TOKENS), strict=True)
    scored = [checkpoint(score, hidden_CH, target_C, use_reentrant=False) for hidden_CH, target_C in pieces]
    return torch.cat(scored).view_as(target_BT)


def _chosen(logits: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """log softmax(logits / temperature) at the target; shapes (…, V) and (…)."""
    return torch.log_softmax(logits.float() / temperature, dim=-1).gather(-1, target[..., None])[..., 0]


class Scorer(torch.nn.Module):
    """A model whose forward pass is `token_logprobs`: what wraps modules, as DeepSpeed does, can then wrap all of it."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: TokenBatch, temperature: float) -> torch.Tensor:
        return token_logprobs(self.model, batch, temperature)
