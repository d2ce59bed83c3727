"""What an evaluation warns of, at its thresholds and not before."""

from __future__ import annotations

from typing import Any

import pytest

from assay.contracts.ablation import AblationSpec
from assay.contracts.manifest import Finding
from assay.contracts.records import PromptRow
from assay.contracts.report import KnowledgeFormat
from assay.evaluation.findings import CutAnswers, evaluation_findings


def ablation(seeds: tuple[int, ...] = (0, 1), **changes: Any) -> AblationSpec:
    task = changes | {
        "name": "sums",
        "source": {"kind": "arithmetic", "levels": {"easy": [2, 1]}},
        "prompt": "{question}",
        "max_completion_tokens": 16,
    }
    content = {
        "name": "small",
        "seeds": seeds,
        "model": {"path": "model", "kind": "base"},
        "tasks": [{"task": task, "train": 8}],
        "train": {"steps": 2},
        "arms": {"plain": {}},
    }
    return AblationSpec.model_validate(content)


def questions(task: str, count: int) -> list[PromptRow]:
    return [PromptRow(f"{task}/{place}", task, "heldout", "", "", "", "", []) for place in range(count)]


def rates(model: str, **changes: Any) -> KnowledgeFormat:
    found: dict[str, Any] = {"knowledge": 0.6, "format": 0.9, "strict": 0.5, "flexible": 0.6, "truncated": 0.0}
    return KnowledgeFormat(model=model, task="sums", lm_eval={}, **found | {"n": 1000} | changes)


def found(
    *knowledge: KnowledgeFormat,
    answers: tuple[CutAnswers, ...] = (),
    asked: list[PromptRow] | None = None,
    seeds: tuple[int, ...] = (0, 1),
) -> list[Finding]:
    return evaluation_findings(ablation(seeds), asked or questions("sums", 100), answers, knowledge or [rates("base")])


def test_a_sound_evaluation_has_no_findings() -> None:
    assert found(rates("base"), rates("plain")) == []


@pytest.mark.parametrize(
    ("cut", "severities"), [(0, []), (20, []), (21, ["warning"]), (50, ["warning"]), (51, ["error"])]
)
def test_truncation_warns_above_two_percent_and_is_an_error_above_five(cut: int, severities: list[str]) -> None:
    """F11: of any task, whatever its verifier."""
    findings = found(answers=(CutAnswers("base", "letters", cut, 1000),))
    assert [finding.severity for finding in findings] == severities
    assert all(finding.failure == "F11" and f"{cut / 1000:.1%} of 1000" in finding.message for finding in findings)


def test_no_answers_are_none_cut() -> None:
    assert found(answers=(CutAnswers("base", "sums", 0, 0),)) == []


def test_truncation_names_the_model_and_the_task() -> None:
    """F11."""
    (finding,) = found(answers=(CutAnswers("base", "sums", 0, 9), CutAnswers("plain", "sums", 2, 9)))
    assert (finding.id, finding.where) == ("F11/truncated", "plain, task sums")


def test_fewer_than_a_hundred_questions_of_a_task_are_few() -> None:
    """F34."""
    (finding,) = found(asked=questions("sums", 99) + questions("chains", 100))
    assert (finding.id, finding.where) == ("F34/few-questions", "task sums")
    assert "99" in finding.message


def test_one_seed_cannot_tell_an_arm_from_its_seed() -> None:
    """F29."""
    (finding,) = found(seeds=(3,))
    assert (finding.id, finding.failure) == ("F29/one-seed", "F29")


def test_a_budget_of_its_own_in_evaluation_is_named() -> None:
    """F11: a difference between training and evaluation that is meant is told all the same."""
    given = ablation(max_evaluation_tokens=64)
    (finding,) = evaluation_findings(given, questions("sums", 100), [], [rates("base")])
    assert (finding.id, finding.severity, finding.where) == ("F11/evaluation-budget", "info", "task sums")
    assert finding.message == "answers may have 64 tokens in evaluation, 16 in training"
    same = ablation(max_evaluation_tokens=16)
    assert evaluation_findings(same, questions("sums", 100), [], [rates("base")]) == []


def test_format_lost_while_knowledge_stays_is_drift() -> None:
    """F04."""
    (finding,) = found(rates("base"), rates("plain", strict=0.4))
    assert (finding.id, finding.where) == ("F04/format-drift", "plain, task sums")


@pytest.mark.parametrize(
    "changes",
    [
        {"strict": 0.4, "knowledge": 0.5},  # lost with the knowledge
        {"strict": 0.6, "knowledge": 0.7},  # gained
        {"strict": 0.49},  # within the noise of a thousand answers
        {"strict": 0.3, "n": 20},  # within the noise of twenty
    ],
)
def test_what_is_no_drift_is_no_finding(changes: dict[str, Any]) -> None:
    """F04, F34."""
    assert found(rates("base"), rates("plain", **changes)) == []


def test_a_base_model_that_never_had_the_format_does_not_drift() -> None:
    """F04: models are compared with the base model, which is compared with nobody."""
    assert found(rates("base", strict=0.0)) == []
