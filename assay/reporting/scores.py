"""Scored samples as numbers: one row a run, one column a question, for every metric.

    pass@k             unbiased, from the sampled completions, under the task's training verifier (F27)
    greedy             greedy decoding under the training verifier
    greedy_strict, greedy_flexible, greedy_symbolic      the same answers under each verifier (F03, F04)
    truncated          share of all completions that ran out of tokens (F11)

A verdict of status error or timeout is no score: it is left out of its question's mean (F19).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from assay.contracts.records import PromptRow, ScoredRow, Verdict
from assay.contracts.task import VerifierName
from assay.statistics.passk import pass_at_k

Array = NDArray[np.float64]
QuestionMetric = Callable[[Sequence[ScoredRow]], float]
"""All rows of one question under one model -> a score in [0, 1], or NaN when nothing could be judged."""


@dataclass(frozen=True, slots=True)
class ModelScores:
    """The scored rows of one model by question id."""

    arm: str
    """`base`, or the arm."""
    seed: int
    step: int
    chosen: bool
    rows: Mapping[str, Sequence[ScoredRow]]


def by_question(rows: Sequence[ScoredRow]) -> dict[str, list[ScoredRow]]:
    """Rows grouped by problem id."""
    groups: dict[str, list[ScoredRow]] = defaultdict(list)
    for row in rows:
        groups[row.sample.problem_id].append(row)
    return dict(groups)


def question_metrics(verifiers: Mapping[str, VerifierName], samples: int) -> dict[str, QuestionMetric]:
    """Metric name -> function of one question's rows. `verifiers` maps a task to its training verifier."""

    def own(row: ScoredRow) -> Verdict:
        return verdict_of(row, verifiers[row.sample.task])

    metrics: dict[str, QuestionMetric] = {
        f"pass@{k}": _pass_at(k, own) for k in (2**power for power in range(12)) if k <= samples
    }
    metrics["greedy"] = _greedy_mean(own)
    metrics["greedy_strict"] = _greedy_mean(lambda row: row.strict)
    metrics["greedy_flexible"] = _greedy_mean(lambda row: row.flexible)
    metrics["greedy_symbolic"] = _greedy_mean(lambda row: row.symbolic)
    metrics["truncated"] = lambda rows: float(np.mean([row.sample.finish_reason == "length" for row in rows]))
    return metrics


def verdict_of(row: ScoredRow, verifier: VerifierName) -> Verdict:
    """The verdict of a named verifier."""
    return {"strict": row.strict, "flexible": row.flexible, "symbolic": row.symbolic}[verifier]


def judged(verdicts: Sequence[Verdict]) -> list[float]:
    """Scores of the verdicts that are verdicts."""
    return [verdict.score for verdict in verdicts if verdict.status not in ("error", "timeout")]


def _pass_at(k: int, verdict: Callable[[ScoredRow], Verdict]) -> QuestionMetric:
    def metric(rows: Sequence[ScoredRow]) -> float:
        scores = judged([verdict(row) for row in rows if row.sample.mode == "sampled"])
        return pass_at_k(len(scores), sum(score == 1.0 for score in scores), k) if len(scores) >= k else np.nan

    return metric


def _greedy_mean(verdict: Callable[[ScoredRow], Verdict]) -> QuestionMetric:
    def metric(rows: Sequence[ScoredRow]) -> float:
        scores = judged([verdict(row) for row in rows if row.sample.mode == "greedy"])
        return float(np.mean(scores)) if scores else np.nan

    return metric


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """One metric over the same questions for the base model and every arm. Shapes: base (1, Q), arm (seeds, Q)."""

    questions: list[PromptRow]
    base_1Q: Array
    arms_SQ: dict[str, Array]
    unjudged: int
    """Questions left out because some model has no score for them."""


def score_table(
    questions: Sequence[PromptRow], base: ModelScores, runs: Sequence[ModelScores], metric: QuestionMetric
) -> ScoreTable:
    """Scores of the questions that every model has a score for, so that every comparison is paired."""
    base_1Q = _scores([base], questions, metric)
    arms = dict.fromkeys(run.arm for run in runs)
    arms_SQ = {arm: _scores([run for run in runs if run.arm == arm], questions, metric) for arm in arms}
    whole_Q = np.isfinite(np.concatenate([base_1Q, *arms_SQ.values()])).all(axis=0)
    kept = [question for question, whole in zip(questions, whole_Q, strict=True) if whole]
    arms_kept = {arm: scores[:, whole_Q] for arm, scores in arms_SQ.items()}
    return ScoreTable(kept, base_1Q[:, whole_Q], arms_kept, int((~whole_Q).sum()))


def _scores(models: Sequence[ModelScores], questions: Sequence[PromptRow], metric: QuestionMetric) -> Array:
    return np.array([[metric(model.rows[question.id]) for question in questions] for model in models])
