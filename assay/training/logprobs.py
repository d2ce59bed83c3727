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
from assay.training.packing import over_packed
from assay.training.prefix import Run, can_share_prompts, over_sequences, over_shared_prompts

WHOLE_LOGITS = 1 << 25
"""Up to so many logits (128 MiB in fp32) are made at once: the plain way is faster where it fits."""
CHUNK_TOKENS = 512
_SHAPED_LOGITS = (
    "final_logit_softcapping",  # Gemma
    "logit_scale",  # Cohere
    "logits_scaling",  # Granite
    "lm_head_multiplier",  # Falcon-H1
    "logits_soft_cap",  # RecurrentGemma
    "output_logit_soft_cap",  # xLSTM
)
"""Settings of models that change logits behind the output layer: the chunked way does not know them."""

Over = Callable[[Run, TokenBatch], torch.Tensor]
"""A way of running a model over a micro-batch: two in `assay.training.prefix`, one in `assay.training.packing`."""


def token_logprobs(
    model: PreTrainedModel, batch: TokenBatch, temperature: float, packing: bool = False
) -> torch.Tensor:
    """Log-probs of a micro-batch's completion tokens under a model, nats, shape (B, T); zero on padding.

    Padding is cleared here, before any exponential: e^r of an unlikely pad id is infinite, and inf · 0 is NaN.
    """
    chunked = batch.target_BT.numel() * model.config.get_text_config().vocab_size > WHOLE_LOGITS
    head = Head(model) if (chunked or packing) and has_plain_head(model) else None
    return _scored(model, head, batch, temperature, _way(model, packing))


def _way(model: PreTrainedModel, packing: bool) -> Over:
    if packing:
        return over_packed
    return partial(over_shared_prompts, model) if can_share_prompts(model) else over_sequences


def _scored(
    model: PreTrainedModel, head: Head | None, batch: TokenBatch, temperature: float, over: Over
) -> torch.Tensor:
    if head is None:
        scores_BT = _at_once(model, batch, temperature, over)
    else:
        scores_BT = _from_hidden(model, head, batch, temperature, over)
    return scores_BT.masked_fill(batch.mask_BT == 0, 0.0)


def has_plain_head(model: PreTrainedModel) -> bool:
    """Whether logits are the output layer's of the last hidden states, and nothing more."""
    config = model.config.get_text_config()
    is_linear = type(model.get_output_embeddings()) is torch.nn.Linear  # no adapter
    return is_linear and not any(getattr(config, name, None) for name in _SHAPED_LOGITS)


def _at_once(model: PreTrainedModel, batch: TokenBatch, temperature: float, over: Over) -> torch.Tensor:
    def logits(inputs: dict[str, Any], columns: int | torch.Tensor) -> torch.Tensor:
        made: torch.Tensor = model(**inputs, logits_to_keep=columns).logits
        return made

    return _chosen(over(logits, batch), batch.target_BT, temperature)


def _from_hidden(model: PreTrainedModel, head: Head, batch: TokenBatch, temperature: float, over: Over) -> torch.Tensor:
    decoder = model.get_decoder()

    def hidden(inputs: dict[str, Any], columns: int | torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = decoder(**inputs).last_hidden_state
        return states[:, -columns:] if isinstance(columns, int) else states[:, columns]

    scores_N: torch.Tensor = head(over(hidden, batch).flatten(0, 1), batch.target_BT.flatten(), temperature)
    return scores_N.view_as(batch.target_BT)


class Head(torch.nn.Module):
    """The output layer, from last hidden states to log-probs.

    A module of its own around all pieces: ZeRO 3 gathers a module's weights each time that it is called, which every
    process must do as often as the others, however many pieces it has.
    """

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.layer = model.get_output_embeddings()

    def forward(self, hidden_NH: torch.Tensor, target_N: torch.Tensor, temperature: float) -> torch.Tensor:
        """Log-probs of the targets, shape (N,), of many a piece at a time."""

        def score(hidden_CH: torch.Tensor, target_C: torch.Tensor) -> torch.Tensor:
            logits_CV = torch.nn.functional.linear(hidden_CH, self.layer.weight, self.layer.bias)
            return _chosen(logits_CV, target_C, temperature)

        if len(target_N) * len(self.layer.weight) <= WHOLE_LOGITS:
            return score(hidden_NH, target_N)
        pieces = zip(torch.split(hidden_NH, CHUNK_TOKENS), torch.split(target_N, CHUNK_TOKENS), strict=True)
        return torch.cat([checkpoint(score, *piece, use_reentrant=False, preserve_rng_state=False) for piece in pieces])


def _chosen(logits: torch.Tensor, target: torch.Tensor, temperature: float) -> torch.Tensor:
    """log softmax(logits / temperature) at the target; shapes (…, V) and (…)."""
    return torch.log_softmax(logits.float() / temperature, dim=-1).gather(-1, target[..., None])[..., 0]


class Scorer(torch.nn.Module):
    """A model whose forward pass is `token_logprobs`, for what wraps modules, as DeepSpeed does.

    It takes the same way every time, over whole sequences: under ZeRO 3 every process must make the same number of
    passes through the same modules, whatever prompts it has and however long its completions are.
    """

    def __init__(self, model: PreTrainedModel, packing: bool = False) -> None:
        super().__init__()
        self.model = model
        self.head = Head(model) if has_plain_head(model) else None
        self.over: Over = over_packed if packing else over_sequences

    def forward(self, batch: TokenBatch, temperature: float) -> torch.Tensor:
        return _scored(self.model, self.head, batch, temperature, self.over)
