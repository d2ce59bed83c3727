"""Does a sampler write with the weights it was given? A layer that was left behind changes log-probs and nothing else:
the run goes on, off-policy, and clip fractions and ratios grow without a reason (F25).

    completions = a few tokens of a few prompts, drawn by the sampler
    mean over all their tokens of | log π_sampler − log π_trainer |  ≤  what the precision explains
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any, Protocol

import torch

from assay.contracts.errors import InvariantError
from assay.contracts.records import PromptRow
from assay.contracts.sampling import Completion, SampleRequest, Score
from assay.contracts.seeds import derive
from assay.contracts.task import TaskSpec
from assay.sampling.requests import request_for

PROBE_PROMPTS = 4
PROBE_TOKENS = 32


class Writer(Protocol):
    """What is asked of a sampler here."""

    def generate(self, requests: Sequence[SampleRequest]) -> list[Completion]: ...


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a sampler is asked for after each update, and how far from the trainer's its log-probs may then be."""

    probes: Sequence[SampleRequest]
    gap: float
    """Largest mean difference, nats a token."""


def probes(prompts: Sequence[PromptRow], tasks: Mapping[str, TaskSpec]) -> list[SampleRequest]:
    """The beginnings of a few completions at temperature 1, of prompts from all over."""
    spaced = prompts[:: max(1, len(prompts) // PROBE_PROMPTS)][:PROBE_PROMPTS]
    asked = [request_for(prompt, tasks[prompt.task], 1.0, derive("agreement", prompt.id)) for prompt in spaced]
    return [replace(request, max_tokens=min(request.max_tokens, PROBE_TOKENS)) for request in asked]


def require_agreement(sampler: Writer, score: Score, comparison: Comparison) -> float:
    """The mean difference of log-probs. Raises InvariantError when rounding does not explain it."""
    pairs = zip(comparison.probes, sampler.generate(comparison.probes), strict=True)
    gap = fmean(value for request, completion in pairs for value in _differences(score, request, completion))
    if not gap <= comparison.gap:
        problem = f"after the update sampler and trainer log-probs differ by {gap:.4g} nats a token on average"
        remedy = "A layer kept its old weights: use `sampler: torch`, and report the model's architecture"
        meant = "In training, train.logprob_tolerance allows more"
        raise InvariantError(f"{problem}, and rounding explains {comparison.gap:g} (F25). {remedy}. {meant}")
    return gap


def _differences(score: Score, request: SampleRequest, completion: Completion) -> list[float]:
    """Of each token, nats."""
    trainer = score(request.prompt_tokens, completion.tokens)
    return [abs(a - b) for a, b in zip(completion.logprobs, trainer, strict=True)]


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
