"""Does a sampler write with the weights it was given? A layer that was left behind changes log-probs and nothing else:
the run goes on, off-policy, and clip fractions and ratios grow without a reason (F25).

    completion = a few greedy tokens of the sampler's
    mean over its tokens of | log π_sampler − log π_trainer |  ≤  what the precision explains
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import Any, Protocol

import torch

from assay.contracts.errors import InvariantError
from assay.contracts.sampling import Completion, SampleRequest, Score

PROBE = SampleRequest(prompt_tokens=tuple(range(1, 9)), seed=0, max_tokens=16, temperature=0.0)
"""Any tokens will do: weights that differ differ on all of them."""

BOUNDS = {torch.float32: 5e-3, torch.float16: 0.02, torch.bfloat16: 0.05}
"""Largest mean difference that kernels of this precision explain, nats a token. In fp32 a GPU may round products to
10 bits (TF32); between CPUs it stays below 1e-5."""


class Writer(Protocol):
    """What is asked of a sampler here."""

    def generate(self, requests: Sequence[SampleRequest]) -> list[Completion]: ...


def require_agreement(sampler: Writer, score: Score, dtype: torch.dtype) -> float:
    """The mean difference of log-probs. Raises InvariantError when the precision does not explain it."""
    (completion,) = sampler.generate([PROBE])
    trainer = score(PROBE.prompt_tokens, completion.tokens)
    gap = fmean(abs(a - b) for a, b in zip(completion.logprobs, trainer, strict=True))
    if not gap <= BOUNDS[dtype]:
        problem = f"after the update sampler and trainer log-probs differ by {gap:.4f} nats a token on average"
        remedy = "A layer kept its old weights: use `sampler: torch`, and report the model's architecture"
        raise InvariantError(f"{problem}; {dtype} explains {BOUNDS[dtype]} (F25). {remedy}")
    return gap


def score_with(model: Any) -> Score:
    """The log-probs of a Hugging Face model, one forward pass a question."""

    @torch.no_grad()
    def score(prompt: Sequence[int], completion: Sequence[int]) -> list[float]:
        input_1T = torch.tensor([[*prompt, *completion]], device=next(model.parameters()).device)
        logits_TV = model(input_ids=input_1T, use_cache=False).logits[0, len(prompt) - 1 : -1]
        target_T1 = input_1T[0, len(prompt) :, None]
        scores: list[float] = torch.log_softmax(logits_TV.float(), -1).gather(1, target_T1)[:, 0].tolist()
        return scores

    return score
