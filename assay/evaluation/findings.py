"""What to know about an evaluation before believing it: budget, truncation, few questions, one seed, lost format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from assay.contracts.ablation import AblationSpec
from assay.contracts.manifest import Finding, Severity
from assay.contracts.records import PromptRow
from assay.contracts.report import KnowledgeFormat
from assay.guards.findings import TRUNCATED_ERROR, TRUNCATED_WARN, finding
from assay.guards.health import FormatRates, format_drift

FEW_QUESTIONS = 100
"""With fewer, a 95 % interval is wider than ±9 points."""


class CutAnswers(NamedTuple):
    """How many greedy answers of one model to one task were cut by the token budget."""

    model: str
    task: str
    cut: int
    answers: int


def evaluation_findings(
    ablation: AblationSpec,
    questions: Sequence[PromptRow],
    answers: Sequence[CutAnswers],
    knowledge: Sequence[KnowledgeFormat],
) -> list[Finding]:
    """Findings about the evaluation as a whole."""
    return [
        *_few_questions(questions),
        *_one_seed(ablation),
        *_other_budget(ablation),
        *(found for each in answers for found in _truncated(each)),
        *_format_drift(knowledge),
    ]


def _few_questions(questions: Sequence[PromptRow]) -> list[Finding]:
    """Small evaluation sets rank arms by luck (F34)."""
    counts = Counter(question.task for question in questions)
    advice = "its intervals are wide; raise `heldout` before believing small gaps"
    return [
        finding("F34/few-questions", "warning", f"task {task}", f"{count} held-out questions: {advice}")
        for task, count in counts.items()
        if count < FEW_QUESTIONS
    ]


def _one_seed(ablation: AblationSpec) -> list[Finding]:
    """One run an arm cannot tell an arm from its seed (F29)."""
    if len(ablation.seeds) > 1:
        return []
    message = "one run an arm: intervals speak of other questions, not of other seeds. Give two or more seeds"
    return [finding("F29/one-seed", "warning", "seeds", message)]


def _other_budget(ablation: AblationSpec) -> list[Finding]:
    """A task may give answers another length in evaluation than in training: meant, and told all the same (F11)."""
    return [
        finding(
            "F11/evaluation-budget",
            "info",
            f"task {task.name}",
            f"answers may have {task.evaluation_tokens} tokens in evaluation, {task.max_completion_tokens} in training",
        )
        for task in (use.task for use in ablation.tasks)
        if task.evaluation_tokens != task.max_completion_tokens
    ]


def _truncated(of: CutAnswers) -> list[Finding]:
    """Answers cut by the token budget count as wrong (F11)."""
    share = of.cut / of.answers if of.answers else 0.0
    if share <= TRUNCATED_WARN:
        return []
    severity: Severity = "error" if share > TRUNCATED_ERROR else "warning"
    advice = "Raise the task's max_completion_tokens, or its max_evaluation_tokens alone"
    message = f"{share:.1%} of {of.answers} greedy answers are cut by the token budget. {advice}"
    return [finding("F11/truncated", severity, f"{of.model}, task {of.task}", message)]


def _format_drift(knowledge: Sequence[KnowledgeFormat]) -> list[Finding]:
    """Arms that lose the format while they keep the knowledge (F04)."""
    base = {row.task: row for row in knowledge if row.model == "base"}
    return [
        found
        for row in knowledge
        if row.model != "base"
        for found in format_drift(f"{row.model}, task {row.task}", _rates(base[row.task]), _rates(row))
    ]


def _rates(row: KnowledgeFormat) -> FormatRates:
    return FormatRates(strict=row.strict, symbolic=row.knowledge, n=row.n)
