"""What would waste a run is found before it starts."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from assay.contracts.errors import InputError, PreflightError
from assay.contracts.manifest import Finding
from assay.contracts.records import Verdict
from assay.contracts.task import TaskSpec
from assay.guards import preflight
from assay.guards.findings import acknowledged, finding, require_passed
from assay.guards.preflight import Probe
from assay.guards.text import is_garbage, is_repetitive
from assay.tasks.contamination import Overlap
from assay.verifiers import maths

PROMPT = "Question: What is 2 + 2?\nAnswer:"


def task_of(**changed: Any) -> TaskSpec:
    given = {
        "name": "sums", "source": {"kind": "arithmetic", "levels": {"2x1": [2, 1]}}, "verifier": "strict",
        "prompt": "Question: {question}\nAnswer:", "stop": ["\nQuestion:"], "max_completion_tokens": 64,
    }  # fmt: skip
    return TaskSpec.model_validate(given | changed)


def probes(text: str, share: float, n: int = 100, finish_reason: Literal["stop", "length"] = "stop") -> list[Probe]:
    """`share` of the `n` completions say `text` and end so; the others are plain answers."""
    odd = round(share * n)
    plain = [Probe("sums/2+2", PROMPT, " The answer is 4.", "4", "stop")] * (n - odd)
    return [Probe("sums/2+2", PROMPT, text, "4", finish_reason)] * odd + plain


def severities(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(item.id, item.severity) for item in findings]


@pytest.mark.parametrize(
    ("style", "kind", "has_template", "expected"),
    [
        ("completion", "base", False, []),
        ("completion", "base", True, []),
        ("chat", "instruct", True, []),
        ("chat", "base", True, [("F02/chat-template", "error")]),
        ("chat", "instruct", False, [("F02/chat-template", "error")]),
        ("completion", "instruct", True, [("F02/chat-template", "warning")]),
    ],
)
def test_prompt_style_must_suit_the_model(
    style: str, kind: Literal["base", "instruct"], has_template: bool, expected: list[tuple[str, str]]
) -> None:
    """F02: a chat template on a base model gave 42 % garbage."""
    assert severities(preflight.chat_template(task_of(style=style), kind, has_template)) == expected


def test_turn_markers_in_a_completion_prompt_are_an_error() -> None:
    """F02."""
    prompts = ["Question: 1?", "<|im_start|>user\n1?<eos>"]
    (found,) = preflight.special_tokens(task_of(), prompts, ["<eos>", ""])
    assert (found.id, found.severity) == ("F02/special-tokens", "error")
    assert "'<eos>', '<|im_start|>'" in found.message
    assert preflight.special_tokens(task_of(), ["Question: 1?"], ["<eos>", ""]) == []
    assert preflight.special_tokens(task_of(style="chat"), prompts, []) == []


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("Cumhur" * 20, True),
        ("", True),
        (" \n", True),
        ("4<|im_end|>\n<|im_start|>user", True),
        ("caf\ufffd", True),
        ("答案是四，答案是四", True),
        ("Ответ четыре", True),
        (" 2 + 2 = 4. The answer is \\boxed{4}.", False),
        ("4", False),
        ("Let θ = π/4, so sin θ = √2/2.", False),
        ("1000000000", False),
    ],
)
def test_garbage_is_told_from_text(text: str, broken: bool) -> None:
    assert is_garbage(PROMPT, text) is broken


def test_a_question_in_another_script_may_be_answered_in_it() -> None:
    assert not is_garbage("二加二等于多少？", "答案是四")


def test_one_unit_over_and_over_is_repetitive() -> None:
    """F24: `4444…`."""
    assert is_repetitive("The answer is " + "4" * 60)
    assert not is_repetitive("12 + 13 = 25, 25 + 14 = 39, 39 + 15 = 54")


def test_the_garbage_share_of_f02_is_an_error() -> None:
    """F02: 42 % garbage from step 1."""
    (found,) = preflight.garbage(task_of(), probes("Cumhur" * 20, 0.42))
    assert (found.id, found.severity) == ("F02/garbage", "error")
    assert "42 of 100" in found.message
    assert preflight.garbage(task_of(), probes("", 0.05)) == []


def verdicts(correct: int, n: int = 100, failed: int = 0) -> list[Verdict]:
    right = [Verdict("correct", 1.0)] * correct
    broken = [Verdict("timeout", 0.0, detail="over 5 s")] * failed
    return right + broken + [Verdict("unparseable", 0.0)] * (n - correct - failed)


def test_a_verifier_blind_to_what_the_model_solves_is_an_error() -> None:
    """F03: 0 % reward though the model solved 75 %."""
    views = {"strict": verdicts(0), "flexible": verdicts(70), "symbolic": verdicts(75)}
    (found,) = preflight.acceptance(task_of(), verdicts(0), views)
    assert (found.id, found.severity) == ("F03/acceptance", "error")
    assert "Of 100 completions the judges accept: strict 0, flexible 70, symbolic 75" in found.message
    assert "verifier: symbolic" in found.message


@pytest.mark.parametrize(
    ("strict", "symbolic", "severity"), [(19, 75, "info"), (18, 75, "error"), (0, 3, "info"), (0, 0, "warning")]
)
def test_the_acceptance_bound_is_a_quarter_with_enough_evidence(strict: int, symbolic: int, severity: str) -> None:
    """F03."""
    views = {"strict": verdicts(strict), "symbolic": verdicts(symbolic)}
    assert preflight.acceptance(task_of(), verdicts(strict), views)[0].severity == severity


def test_a_training_verifier_that_is_no_view_stands_beside_them_and_the_remedy_can_be_copied() -> None:
    """F03."""
    own, views = verdicts(1), {"legacy": verdicts(60), "word_boundary": verdicts(20)}
    (found,) = preflight.acceptance(task_of(verifier="choice:mode=legacy"), verdicts(60), views)
    assert "the judges accept: choice:mode=legacy 60, choice 20" in found.message
    (found,) = preflight.acceptance(task_of(verifier="gsm8k:mode=hash"), own, {"flexible": verdicts(60)})
    assert "gsm8k:mode=hash 1, flexible 60" in found.message
    assert "Train with `verifier: flexible`" in found.message


def test_a_verifier_that_cannot_judge_here_is_an_error_before_any_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """F19: no sandbox, no endpoint."""

    def missing(_: Any) -> None:
        raise InputError("bwrap", "is not installed", "Install bubblewrap")

    assert preflight.verifier_ready(task_of()) == []
    monkeypatch.setattr(maths, "ready", missing)
    (found,) = preflight.verifier_ready(task_of())
    assert (found.id, found.severity, found.where) == ("F19/verifier-ready", "error", "task sums: verifier")
    assert found.message == "bwrap: is not installed. Install bubblewrap"


def test_verdicts_that_failed_are_shown_apart() -> None:
    """F19."""
    views = {"strict": verdicts(50), "symbolic": verdicts(50, failed=20)}
    found = preflight.acceptance(task_of(), verdicts(50), views)
    assert severities(found) == [("F03/acceptance", "info"), ("F19/verifier", "error")]
    assert "20 of 200 verdicts failed (10.0%)" in found[1].message
    assert "over 5 s" in found[1].message


def test_gold_answers_that_the_verifier_refuses_are_counted() -> None:
    assert preflight.gold(task_of(), ["1", "-2", "3"]) == []
    (found,) = preflight.gold(task_of(verifier="flexible"), ["yes"] * 60)
    assert (found.id, found.severity) == ("F03/gold", "error")


def overlap(heldout: str, kind: Literal["exact", "ngram"]) -> Overlap:
    return Overlap(f"math/{heldout}", "rlvr/1", kind, "What is …")


def test_held_out_questions_that_training_gives_away_are_counted_once_each() -> None:
    ids = {"math": [f"math/{place}" for place in range(1000)], "sums": ["sums/1"]}
    assert preflight.contaminated(ids, []) == []
    (found,) = preflight.contaminated(ids, [overlap("7", "ngram"), overlap("7", "exact"), overlap("8", "ngram")])
    assert (found.id, found.failure, found.where) == ("contamination", "", "task math: heldout")
    assert "2 of 1000 held-out questions (0.2%)" in found.message
    assert "1 are asked word for word, 1 share 13 words in a row" in found.message
    assert "math/7, math/8" in found.message


@pytest.mark.parametrize(
    ("kind", "count", "severity"), [("ngram", 10, "info"), ("ngram", 11, "warning"), ("exact", 1, "warning")]
)
def test_a_question_asked_word_for_word_warns_and_shared_words_do_when_they_are_many(
    kind: Literal["exact", "ngram"], count: int, severity: str
) -> None:
    ids = {"math": [f"math/{place}" for place in range(1000)]}
    (found,) = preflight.contaminated(ids, [overlap(str(place), kind) for place in range(count)])
    assert found.severity == severity


def test_rows_of_the_hub_that_may_move_are_a_warning_with_what_to_write() -> None:
    source = {"kind": "hub", "name": "some/set", "question": "{q}", "answer": "a"}
    task = task_of(source=source)
    (found,) = preflight.moving_data(task, {"train": "a" * 64, "heldout": "b" * 64})
    assert (found.id, found.severity, found.where) == ("moving-data", "warning", "task sums: source.revision")
    assert f"{{train: {'a' * 64}, heldout: {'b' * 64}}}" in found.message
    assert preflight.moving_data(task, {}) == []


def test_prompts_that_differ_by_a_byte_are_an_error_with_the_place() -> None:
    """F05: `Question: …\\nAnswer:` in training, `Problem:\\n…\\n\\nSolution:` at evaluation."""
    ours = {"sums/1": "Question: x\nAnswer:", "sums/2": "Question: y\nAnswer:"}
    assert preflight.prompt_parity(task_of(), ours, dict(ours)) == []
    (found,) = preflight.prompt_parity(task_of(), ours, ours | {"sums/2": "Question: y\nAnswer: "})
    assert (found.id, found.severity) == ("F05/prompt-parity", "error")
    assert "1 of 2 prompts differ" in found.message
    assert "first sums/2, at character 19: '' against ' '" in found.message


def test_a_prompt_that_only_evaluation_has_is_an_error() -> None:
    """F05, F06."""
    (found,) = preflight.prompt_parity(task_of(), {}, {"sums/1": "x"})
    assert found.severity == "error"


@pytest.mark.parametrize(
    ("share", "n", "severity"),
    [(0.0, 100, None), (0.02, 100, None), (0.03, 100, "warning"), (0.13, 100, "error"), (0.13, 30, "warning")],
)
def test_truncated_completions_are_a_warning_then_an_error_and_n_is_said(
    share: float, n: int, severity: str | None
) -> None:
    """F11: 13 % of answers were cut."""
    found = preflight.token_budget(task_of(), probes("so we", share, n, "length"))
    assert [item.severity for item in found] == ([severity] if severity else [])
    assert all(f"{round(share * n)} of {n} completions are cut" in item.message for item in found)


def test_run_on_into_invented_questions_is_an_error_that_names_the_stop_string() -> None:
    """F12: the stop list had `Q:`, the model wrote `Question:` in 81 % of completions."""
    (found,) = preflight.run_on(task_of(stop=["Q:"]), probes(" 4\nQuestion: What is 3 + 3?\nAnswer: 6", 0.81))
    assert (found.id, found.severity) == ("F12/run-on", "error")
    assert "81 of 100" in found.message
    assert '"\\nQuestion:"' in found.message


def test_a_frame_inside_a_sentence_is_no_run_on() -> None:
    """F12."""
    assert preflight.run_on(task_of(), probes("The Question: is easy", 0.9)) == []


def test_the_tasks_own_frame_is_looked_for() -> None:
    """F12."""
    task = task_of(prompt="Solve.\nTask no. 1: {question}\nSolution:")
    (found,) = preflight.run_on(task, probes("4\nTask no. 1: 3 + 3", 0.5))
    assert '"\\nTask no. 1:"' in found.message


def test_dropped_prompts_over_the_bound_are_an_error() -> None:
    """F17: 38 % of prompts were filtered."""
    (found,) = preflight.dropped("task math", 62, {"too_long_train": 38}, 0.05)
    assert (found.id, found.severity) == ("F17/dropped", "error")
    assert "38 of 100 prompts (38.0%) are left out: too_long_train 38" in found.message
    assert preflight.dropped("task math", 99, {"too_long_train": 1}, 0.05)[0].severity == "info"
    assert preflight.dropped("task math", 99, {}, 0.05) == []


def test_errors_end_preflight_and_are_all_listed() -> None:
    findings = [
        finding("F03/acceptance", "error", "task a", "One."),
        finding("F11/token-budget", "error", "task b", "Two."),
        finding("F17/dropped", "info", "task c", "Three."),
    ]
    told = r"2 checks failed(.|\n)*F03/acceptance \(task a\): One\.\n.*F11/token-budget"
    with pytest.raises(PreflightError, match=told):
        require_passed(findings)


def test_an_acknowledged_error_is_kept_as_information() -> None:
    """F03: unless acknowledged in the config."""
    findings = acknowledged([finding("F03/acceptance", "error", "task a", "One.")], ["F03/acceptance"])
    require_passed(findings)
    assert severities(findings) == [("F03/acceptance", "info")]
    assert findings[0].message == "Acknowledged in the config. One."
