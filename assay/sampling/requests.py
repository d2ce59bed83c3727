"""From a prompt to a request: one place where the task's stop strings and token budget meet the sampler (F11, F12)."""

from __future__ import annotations

from collections.abc import Sequence

from assay.contracts.errors import SpecError
from assay.contracts.records import PromptRow
from assay.contracts.sampling import SampleRequest
from assay.contracts.task import TaskSpec


def request_for(prompt: PromptRow, task: TaskSpec, temperature: float, seed: int) -> SampleRequest:
    """One completion of a prompt under its task's rules."""
    return SampleRequest(
        prompt_tokens=tuple(prompt.prompt_tokens),
        seed=seed,
        max_tokens=task.max_completion_tokens,
        temperature=temperature,
        stop=task.stop,
    )


def require_room(requests: Sequence[SampleRequest], room_tokens: int | None, bound: str) -> None:
    """Raises SpecError where a prompt with its completion may outgrow `room_tokens`; None: there is no bound. `bound`
    names the setting that gives it."""
    longest = max((len(request.prompt_tokens) + request.max_tokens for request in requests), default=0)
    if room_tokens is not None and longest > room_tokens:
        problem = f"{room_tokens} tokens, and a prompt with its completion may have {longest}"
        raise SpecError(bound, problem, "Raise it where it can be, or lower the task's max_completion_tokens")
