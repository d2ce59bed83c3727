"""The policy: a model, its frozen reference, AdamW, and the log-probs of completions under each.

One definition of a log-prob serves loss, KL and checks: log softmax(logits / temperature) of the sampled token, in
fp32, no top-p or top-k (F09).
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from transformers import PreTrainedModel

from assay.contracts.training import OptimizerSpec
from assay.training.batching import TokenBatch, Tokens, collate, micro_batches


def token_logprobs(model: PreTrainedModel, batch: TokenBatch, temperature: float) -> torch.Tensor:
    """Log-probs of a micro-batch's completion tokens under a model, nats, shape (B, T); zero on padding.

    Padding is cleared here, before any exponential: e^r of an unlikely pad id is infinite, and inf · 0 is NaN.
    """
    logits_BTV = model(
        input_ids=batch.input_BS,
        attention_mask=batch.attention_BS,
        position_ids=batch.position_BS,
        use_cache=False,
        logits_to_keep=batch.target_BT.shape[1] + 1,
    ).logits[:, :-1]
    logprobs_BTV = torch.log_softmax(logits_BTV.float() / temperature, dim=-1)
    return logprobs_BTV.gather(-1, batch.target_BT[..., None])[..., 0].masked_fill(batch.mask_BT == 0, 0.0)


class Policy:
    """A trainable model with its reference and optimizer."""

    def __init__(
        self, model: PreTrainedModel, spec: OptimizerSpec, temperature: float, micro_batch_tokens: int
    ) -> None:
        self.model = model
        self.reference = copy.deepcopy(model).eval().requires_grad_(False)
        self.spec = spec
        self.temperature = temperature
        self.micro_batch_tokens = micro_batch_tokens
        self.updates = 0
        self.optimizer = torch.optim.AdamW(
            model.parameters(),
            lr=spec.learning_rate,
            betas=(spec.beta1, spec.beta2),
            eps=spec.eps,
            weight_decay=spec.weight_decay,
        )

    def batches(self, items: Sequence[Tokens], rows: Sequence[int]) -> list[TokenBatch]:
        """The rows as micro-batches within the token budget, on the model's device."""
        groups = micro_batches(items, rows, self.micro_batch_tokens)
        return [collate(items, group, self.model.device) for group in groups]

    @torch.no_grad()
    def logprobs(self, items: Sequence[Tokens], model: PreTrainedModel) -> list[list[float]]:
        """Per-token log-probs of all items under `model` (the policy's own or its reference)."""
        result: list[list[float]] = [[] for _ in items]
        for batch in self.batches(items, range(len(items))):
            scores_BT = token_logprobs(model, batch, self.temperature)
            for row, values in zip(batch.rows, scores_BT.tolist(), strict=True):
                result[row] = values[: len(items[row].completion_tokens)]
        return result

    def learning_rate(self) -> float:
        """Rate of the next update: linear warm-up, then constant (F15)."""
        return self.spec.learning_rate * min(1.0, (self.updates + 1) / max(1, self.spec.warmup_steps))

    def update(self) -> GradientStats:
        """Clip the accumulated gradients, step AdamW, clear them.

        A gradient that is not finite is not applied: its norm makes a guard stop the run, with the weights still whole.
        """
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.spec.max_grad_norm))
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        stats = GradientStats(norm=norm, rms=norm / parameters**0.5, learning_rate=self.learning_rate())
        for group in self.optimizer.param_groups:
            group["lr"] = stats.learning_rate
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        return stats


@dataclass(frozen=True, slots=True)
class GradientStats:
    """One update. `norm` and `rms` are before clipping; Adam's eps should lie well below `rms` (F15)."""

    norm: float
    rms: float
    learning_rate: float
