"""Completions judged by their tasks' own verifiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.contracts.records import PromptRow, Verdict
from assay.contracts.sampling import Completion
from assay.contracts.task import TaskSpec
from assay.verifiers import VerifierPool


def judge(
    pool: VerifierPool, tasks: Mapping[str, TaskSpec], prompts: Sequence[PromptRow], completions: Sequence[Completion]
) -> list[Verdict]:
    """A verdict for each completion, in order. `tasks` is keyed by task name."""
    verdicts: dict[int, Verdict] = {}
    for name, task in tasks.items():
        rows = [row for row, prompt in enumerate(prompts) if prompt.task == name]
        pairs = [(completions[row].text, prompts[row].gold) for row in rows]
        verdicts.update(zip(rows, pool.score(task.verifier, pairs, stop=task.stop), strict=True))
    return [verdicts[row] for row in range(len(prompts))]
