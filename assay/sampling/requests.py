"""From a prompt to a request: one place where the task's stop strings and token budget meet the sampler (F11, F12)."""

from __future__ import annotations

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
