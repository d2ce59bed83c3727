"""The three verifiers as their callers see them."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest

from assay.contracts.errors import InputError
from assay.contracts.task import VerifierName
from assay.verifiers import VERIFIER_VERSIONS, VerifierPool, check_gold, equivalent, judge, verify


@pytest.mark.parametrize(
    ("name", "response", "status"),
    [
        ("strict", r"so \boxed{1/2}", "correct"),
        ("strict", r"so \boxed{0.5}", "correct"),
        ("strict", r"so \boxed{2}", "wrong"),
        ("strict", "The answer is 1/2.", "no_answer"),
        ("strict", r"so \boxed{\sin^2(x)/2+\cos^2(x)/2}", "wrong"),
        ("flexible", "so it is 0.5.", "correct"),
        ("flexible", "so it is one half", "no_answer"),
        ("symbolic", "The answer is 1/2.", "correct"),
        ("symbolic", r"so \boxed{\sin^2(x)/2+\cos^2(x)/2}", "correct"),
        ("symbolic", "", "no_answer"),
    ],
)
def test_each_verifier_accepts_what_it_says(name: VerifierName, response: str, status: str) -> None:
    """F03, F04."""
    assert verify(name, response, r"\frac{1}{2}").status == status


def test_the_verdict_says_what_was_found_and_how() -> None:
    """F33."""
    verdict = verify("symbolic", "work\n#### 12", "12")
    assert (verdict.score, verdict.extracted, verdict.method) == (1.0, "12", "hash_marks")


@pytest.mark.parametrize("name", get_args(VerifierName))
def test_text_after_a_stop_string_does_not_count(name: VerifierName) -> None:
    """F12."""
    response = "\\boxed{5}\nQuestion: and now?\n\\boxed{6}"
    assert verify(name, response, "5", stop=["Question:"]).status == "correct"
    assert verify(name, response, "5").status == "wrong"


def test_a_verifier_that_raises_is_an_error_and_not_a_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """F19."""

    def broken(*_: str) -> None:
        raise RuntimeError("None kwargs")

    monkeypatch.setitem(judge._JUDGES, "strict", broken)
    verdict = verify("strict", r"\boxed{5}", "5")
    assert (verdict.status, verdict.score, verdict.detail) == ("error", 0.0, "RuntimeError: None kwargs")


def test_extracted_answers_can_be_compared_alone() -> None:
    assert equivalent("0.5", "1/2").status == "correct"
    assert equivalent("", "1/2").status == "no_answer"


def test_a_batch_keeps_its_order_and_starts_no_worker_for_what_rules_decide() -> None:
    items = [(f"\\boxed{{{i}}}", str(i % 3)) for i in range(9)]
    with VerifierPool() as pool:
        verdicts = pool.score("symbolic", items)
        assert pool.worker_pids == []
    assert [v.status for v in verdicts] == ["correct"] * 3 + ["wrong"] * 6


def test_gold_answers_that_a_verifier_would_refuse_are_listed() -> None:
    golds = ["5", r"\frac{3}{4}", r"\text{east}", "x+1"]
    assert check_gold("symbolic", golds) == []
    assert check_gold("strict", golds) == []
    assert check_gold("flexible", golds) == [r"\frac{3}{4}", r"\text{east}", "x+1"]
    assert check_gold("symbolic", ["", "1"]) == [""]


def test_an_unknown_verifier_is_refused_with_the_names_there_are() -> None:
    with pytest.raises(InputError, match="strict, flexible, symbolic"):
        check_gold("strikt", ["5"])  # type: ignore[arg-type]


def test_every_verifier_has_a_version() -> None:
    assert set(VERIFIER_VERSIONS) == set(get_args(VerifierName))


def test_importing_the_room_stays_light() -> None:
    heavy = "{'sympy', 'math_verify', 'torch', 'transformers'} & set(sys.modules)"
    script = f"import sys, assay.verifiers; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
