"""What a sampler takes and gives. Implemented by `assay.sampling`, used by curriculum, training and evaluation alike.

Every request carries a seed of its own, derived from (run seed, problem, step, sample index): no two samples share
one (F01).
Log-probs are of the distribution sampled from: temperature applied, no top-p or top-k (F09).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from pydantic import Field

from assay.contracts.base import Frozen
from assay.contracts.records import FinishReason

if TYPE_CHECKING:
    import torch

Score = Callable[[Sequence[int], Sequence[int]], Sequence[float]]
"""(prompt tokens, completion tokens) -> the trainer's log-prob of each completion token at temperature 1, nats."""


class VllmSettings(Frozen):
    """How vLLM is run, where it is the sampler. None of it is part of a content key: it moves results in the last bits
    alone, and run.json says which sampler was used."""

    tensor_parallel: int = Field(1, ge=1)
    """Accelerators that share a model too large for one. Evaluation keeps its own setting (F13)."""
    placement: Literal["colocated", "apart"] = "colocated"
    """Of training: in its processes, taking turns with it; or on as many accelerators of its own, after those of
    training, with new weights over NCCL."""
    memory_share: float = Field(0.9, gt=0, lt=1)
    """Share of an accelerator's memory where vLLM has it to itself: weights and KV cache."""
    colocated_memory_share: float = Field(0.4, gt=0, lt=1)
    """The same beside training; the weights, gradients and moments of training need the rest."""
    sleep: bool = True
    """Give the memory back while training computes, and keep the weights in host memory meanwhile; not when sampling
    ahead."""
    max_model_len: int = Field(0, ge=0)
    """Tokens of the longest prompt with its completion; 0: all the model was made for."""
    enforce_eager: bool = False
    """No CUDA graphs: starts sooner, writes slower. Always so on CPU."""
    cpu_cache_bytes: int = Field(1 << 30, ge=1 << 26)
    """KV cache on CPU."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One completion to write."""

    prompt_tokens: tuple[int, ...]
    seed: int
    """0 <= seed < 2**63. Ignored when temperature is 0."""
    max_tokens: int
    temperature: float
    """0: greedy."""
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """One completion. Its length is len(tokens): never read from padding (F10)."""

    text: str
    """Text before the first stop string."""
    tokens: tuple[int, ...]
    """All sampled tokens, the end-of-sequence token and those of the stop string included."""
    logprobs: tuple[float, ...]
    """Log-probability of each token when it was sampled, nats."""
    finish_reason: FinishReason


Progress = Callable[[Mapping[int, Completion]], None]
"""Called with the completions that ended since the last call, by the place of their request: each once."""


class Sampler(Protocol):
    """A language model that writes completions."""

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        """Completions in the order of the requests. A request's result does not depend on its neighbours' seeds."""
        ...

    def rest(self) -> None:
        """Give back the accelerator memory that only writing needs, until the next call."""
        ...

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]], score: Score | None) -> None:
        """Write with these weights from now on: each parameter under its Hugging Face name.

        Raises InvariantError when the sampler's log-probs are then not those of `score` (F25); None: nobody can say, as
        the trainer has moved on. A sampler that shares the trainer's own model has the weights already, and uses
        neither argument.
        """
        ...
