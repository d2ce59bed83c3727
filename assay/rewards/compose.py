"""Reward = Σ weight(step) x part, over the parts whose gates are open.

A part that could not be judged is NaN, and so is the sum it counts in, or whose gate it holds: the completion then
neither teaches nor moves its group's mean (F19). A part of weight 0 is measured all the same, for the trace; only
another verifier is asked no more than it must, for it may be a model behind an endpoint.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from assay.contracts.errors import SpecError
from assay.contracts.records import PromptRow, Verdict, VerdictStatus
from assay.contracts.reward import FormatPart, OverlongPart, RepetitionPart, RewardPart, VerifierPart
from assay.contracts.sampling import Completion
from assay.contracts.task import TaskSpec
from assay.rewards.judge import judge_with
from assay.rewards.parts import compiled, has_format, overlong, repetition
from assay.verifiers import VerifierPool
from assay.verifiers.extract import before_stop


class Reward(NamedTuple):
    """A completion's worth and what it is made of; `parts` always has `correct`, and the declared ones it was asked."""

    total: float
    parts: dict[str, float]
    verdicts: dict[str, VerdictStatus]
    """Of each verifier that was asked, by the name of its part."""


class Composer:
    """Rewards the completions of one run."""

    def __init__(self, parts: Mapping[str, RewardPart], tasks: Mapping[str, TaskSpec], pool: VerifierPool) -> None:
        """SpecError: a part does not fit a task, or its pattern is not RE2's."""
        self.parts = parts
        self.tasks = tasks
        self.pool = pool
        for name, part in parts.items():
            _check(name, part, tasks)

    def rewards(
        self, step: int, prompts: Sequence[PromptRow], completions: Sequence[Completion], verdicts: Sequence[Verdict]
    ) -> list[Reward]:
        """A reward for each completion, in order. `verdicts` are the tasks' own."""
        values = [{"correct": score_of(verdict)} for verdict in verdicts]
        told: list[dict[str, VerdictStatus]] = [{"correct": verdict.status} for verdict in verdicts]
        for name, part in self.parts.items():
            if isinstance(part, VerifierPart):
                rows = [row for row, found in enumerate(values) if counts(part, found, step)]
                asked = [prompts[row] for row in rows], [completions[row] for row in rows]
                for row, verdict in zip(rows, judge_with(self.pool, part.verifier, self.tasks, *asked), strict=True):
                    values[row][name], told[row][name] = score_of(verdict), verdict.status
            elif part.kind != "correct":
                for row, found in enumerate(values):
                    found[name] = measure(part, completions[row], self.tasks[prompts[row].task])
        return [
            Reward(total(self.parts, found, step), found, statuses)
            for found, statuses in zip(values, told, strict=True)
        ]


def score_of(verdict: Verdict) -> float:
    """The score; NaN when the verifier failed, never 0."""
    return math.nan if verdict.status in ("error", "timeout") else verdict.score


def measure(part: RewardPart, completion: Completion, task: TaskSpec) -> float:
    """The value of a part that the completion alone tells."""
    match part:
        case FormatPart():
            return has_format(before_stop(completion.text, task.stop), part.pattern)
        case OverlongPart():
            return overlong(len(completion.tokens), task.max_completion_tokens, part.buffer_tokens)
        case RepetitionPart():
            return repetition(completion.tokens, part.ngram_tokens)
        case _:
            raise TypeError(f"a part of kind {part.kind} is not measured on the completion alone")


def total(parts: Mapping[str, RewardPart], values: Mapping[str, float], step: int) -> float:
    """The sum over the parts that count at this step."""
    return math.fsum(part.weight_at(step) * _known(part, name, values) for name, part in parts.items()
                     if counts(part, values, step))  # fmt: skip


def counts(part: RewardPart, values: Mapping[str, float], step: int) -> bool:
    """Whether the part has weight at this step and its gate is not closed; a gate nobody could judge is not closed."""
    if not part.weight_at(step):
        return False
    return part.gate is None or not values.get(part.gate.part, -math.inf) < part.gate.at_least


def _known(part: RewardPart, name: str, values: Mapping[str, float]) -> float:
    """The part's value, or NaN when it is not known whether its gate is open."""
    return math.nan if part.gate is not None and math.isnan(values[part.gate.part]) else values[name]


def _check(name: str, part: RewardPart, tasks: Mapping[str, TaskSpec]) -> None:
    if isinstance(part, FormatPart) and part.pattern is not None:
        compiled(part.pattern)
    for task in tasks.values():
        if isinstance(part, OverlongPart) and part.buffer_tokens > task.max_completion_tokens:
            raise SpecError(
                f"reward_weights.{name}.buffer_tokens",
                f"{part.buffer_tokens} is more than the {task.max_completion_tokens} tokens of task {task.name}",
                "Lower it, or raise the task's max_completion_tokens",
            )
