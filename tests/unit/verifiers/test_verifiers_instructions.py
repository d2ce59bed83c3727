"""Instruction following: what a verdict says, what is an error, and that the same text gets the same verdict."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from assay.contracts.errors import SpecError
from assay.contracts.records import Verdict
from assay.contracts.verifier import InstructionsVerifier
from assay.verifiers import VerifierPool, instructions, registry
from assay.verifiers.instruction_crew import CREW
from assay.verifiers.views import own_name, views
from tests.unit.verifiers.nltk_data import need, offer_wheel_cache


@pytest.fixture(scope="module", autouse=True)
def library() -> None:
    offer_wheel_cache()
    need("punkt_tab", "stopwords")


def reference(*instructions: tuple[str, dict[str, Any] | None], prompt: str = "Say it.") -> str:
    ids, kwargs = zip(*instructions, strict=True)
    return json.dumps({"instruction_id_list": ids, "kwargs": kwargs, "prompt": prompt})


def judged(response: str, of: str, **options: Any) -> Verdict:
    outcome = registry.judge(InstructionsVerifier(**options), response, of)
    assert isinstance(outcome, Verdict)
    return outcome


COMMA = ("punctuation:no_comma", None)
TWO_WORDS = ("length_constraints:number_words", {"relation": "at least", "num_words": 2})
BOTH = reference(COMMA, TWO_WORDS)


@pytest.mark.parametrize(
    ("response", "scope", "status", "score"),
    [
        ("two words", "prompt", "correct", 1.0),
        ("two words", "instruction", "correct", 1.0),
        ("two, words", "prompt", "wrong", 0.0),
        ("two, words", "instruction", "wrong", 0.5),
        (",", "instruction", "wrong", 0.0),
        ("", "instruction", "wrong", 0.0),
    ],
)
def test_a_prompt_is_all_or_nothing_and_instructions_are_a_share(
    response: str, scope: str, status: str, score: float
) -> None:
    verdict = judged(response, BOTH, scope=scope)
    assert (verdict.status, verdict.score, verdict.version) == (status, score, 1)


def test_parts_have_an_entry_for_every_instruction() -> None:
    assert judged("two, words", BOTH).parts == {COMMA[0]: 0.0, TWO_WORDS[0]: 1.0}


def test_an_instruction_that_comes_twice_is_numbered() -> None:
    often = [("keywords:frequency", {"keyword": word, "frequency": 1, "relation": "at least"}) for word in ("a", "b")]
    assert judged("a", reference(*often)).parts == {"keywords:frequency": 1.0, "keywords:frequency #2": 0.0}


def test_a_loose_reading_drops_a_first_line_a_last_line_and_asterisks() -> None:
    quotation = reference(("startend:quotation", {}))
    for response in ('Sure:\n"It."', '"It."\nBye', 'Sure:\n*"It."*\nBye'):
        assert (judged(response, quotation).score, judged(response, quotation, reading="loose").score) == (0.0, 1.0)


def test_arguments_that_are_null_are_not_given() -> None:
    padded = reference(
        (COMMA[0], {"num_words": None, "relation": None}), (TWO_WORDS[0], TWO_WORDS[1] | {"letter": None})
    )
    assert judged("two words", padded).status == "correct"


def test_whole_numbers_may_be_written_as_decimals() -> None:
    span = reference(("new:copy_span_idx", {"prompt_to_repeat": "abc", "n_start": 1.0, "n_end": 2.0}))
    assert judged("b", span, suite="rlvr").status == "correct"


@pytest.mark.parametrize(
    ("suite", "instruction", "reason"),
    [
        (
            "ifeval",
            ("count:numbers", {"N": 1}),
            "count:numbers: ValueError: the suite 'ifeval' has no such instruction",
        ),
        ("ifbench", COMMA, "punctuation:no_comma: ValueError: the suite 'ifbench' has no such instruction"),
        ("rlvr", ("no:such", {}), "no:such: ValueError: the suite 'rlvr' has no such instruction"),
        ("ifeval", (COMMA[0], {"num_words": 1}), "got an unexpected keyword argument 'num_words'"),
        ("rlvr", ("copy:copy", {}), "missing 1 required positional argument: 'prompt_to_repeat'"),
    ],
)
def test_what_cannot_be_checked_is_an_error_that_names_it(
    suite: str, instruction: tuple[str, dict[str, Any] | None], reason: str
) -> None:
    verdict = judged(
        "text", reference(COMMA, instruction) if suite != "ifbench" else reference(instruction), suite=suite
    )
    assert (verdict.status, verdict.score, verdict.parts) == ("error", 0.0, {})
    assert reason in verdict.detail


@pytest.mark.parametrize(
    "broken",
    [
        "",
        "42",
        "[]",
        "{}",
        '{"instruction_id_list": [], "kwargs": []}',
        '{"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}',
        '{"instruction_id_list": "punctuation:no_comma", "kwargs": [{}]}',
    ],
)
def test_a_reference_of_another_form_is_an_error(broken: str) -> None:
    verdict = judged("text", broken)
    assert verdict.status == "error"
    assert "the reference" in verdict.detail


DRAWN = reference(
    ("keywords:letter_frequency", {"letter": "#", "let_frequency": 4, "let_relation": "at least"}),
    ("keywords:existence", None),
    ("language:response_language", {"language": "en"}),
    ("change_case:english_lowercase", None),
)
"""A letter that is none (the check draws one), keywords that are not given (it draws two), a language to detect."""
MIXED = "der the and la bonne night is gut"
"""Of no language: langdetect's own seed decides."""


def test_the_same_text_gets_the_same_verdict_from_any_thread_and_worker() -> None:
    with ThreadPoolExecutor(4) as threads:
        verdicts = list(threads.map(lambda n: judged(f"{MIXED} {'#' * (n % 2)}", DRAWN), range(60)))
    CREW.close()  # the next answer is a fresh worker's
    for n in range(2):
        again = judged(f"{MIXED} {'#' * n}", DRAWN)
        assert {(one.score, tuple(one.parts.items())) for one in verdicts[n::2]} == {
            (again.score, tuple(again.parts.items()))
        }


def test_a_drawn_letter_does_not_depend_on_what_was_judged_before() -> None:
    alone = reference(("keywords:letter_frequency", {"letter": "#", "let_frequency": 1, "let_relation": "at least"}))
    letters = [letter for letter in "abcdefghijklmnopqrstuvwxyz" if judged(letter, alone).score]
    judged(MIXED, DRAWN)
    assert letters == [letter for letter in "abcdefghijklmnopqrstuvwxyz" if judged(letter, alone).score]
    assert len(letters) == 1


def test_judging_draws_nothing_from_the_callers_random() -> None:
    random.seed(3)
    before = random.getstate()
    judged(MIXED, DRAWN)
    assert random.getstate() == before


def test_the_pool_scores_many_in_order() -> None:
    with VerifierPool() as pool:
        verdicts = pool.score(
            InstructionsVerifier(), [("two words", BOTH), ("one", BOTH), ("two words" * 9, BOTH)] * 10
        )
    assert [one.score for one in verdicts] == [1.0, 0.0, 1.0] * 10


def test_data_that_is_missing_is_said_before_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CREW, "missing", lambda: ["averaged_perceptron_tagger_eng"])
    instructions.ready(InstructionsVerifier(suite="ifeval"))
    with pytest.raises(SpecError, match=r"nltk.downloader -d DIRECTORY averaged_perceptron_tagger_eng") as caught:
        instructions.ready(InstructionsVerifier(suite="ifbench"))
    assert "the suite 'ifbench' needs NLTK's averaged_perceptron_tagger_eng" in str(caught.value)


def test_a_library_that_is_missing_is_said_before_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instructions, "find_spec", lambda _: None)
    with pytest.raises(SpecError, match=r"pip install 'assay\[instructions\]'"):
        instructions.ready(InstructionsVerifier())


def test_neither_loading_nor_checking_touches_the_network() -> None:
    """Not even where data is missing, which the library would download when it is imported."""
    code = """
import socket
def refuse(*_): raise SystemExit("the network was asked for")
socket.socket.connect = socket.getaddrinfo = refuse
from assay.verifiers import checkers, instruction_worker
instruction_worker._import_less()
import nltk; nltk.data.path[:] = []
print(*checkers.load())
print(*checkers.follow("ifbench", "loose", ["count:numbers"], [{"N": 2}], "", "1 and 2"))
print(*checkers.follow("rlvr", "strict", ["language:response_language"], [{"language": "en"}], "", "It is the sea."))
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    said = ["punkt_tab stopwords averaged_perceptron_tagger_eng", "True", "True"]
    assert (ran.returncode, ran.stdout.splitlines()) == (0, said), ran.stderr


def test_the_views_differ_in_scope_and_reading_alone() -> None:
    of_task = InstructionsVerifier(suite="ifbench", time_limit_s=33.0)
    shown = views(of_task)
    assert list(shown) == ["prompt_strict", "prompt_loose", "instruction_strict", "instruction_loose"]
    assert {(view.kind, view.suite, view.time_limit_s) for view in shown.values()} == {
        ("instructions", "ifbench", 33.0)
    }
    assert own_name(of_task) == "prompt_strict"
