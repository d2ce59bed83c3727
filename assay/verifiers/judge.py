"""What each verifier decides on its own, in the calling process; what it cannot decide becomes a `Question` for a
worker.

strict     last balanced \\boxed{}                          exact keys (`exact`)
flexible   last number of the text                         exact keys (`exact`)
symbolic   boxed, ####, answer is, whole text, last maths  exact keys, parts, formulas (`comparison`), then a worker
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from assay.contracts.records import Verdict
from assay.contracts.task import VerifierName
from assay.verifiers import comparison, exact, extract

_MAX_QUESTION_CHARS = 2_000


class Question(NamedTuple):
    """A comparison that needs computer algebra."""

    pred: str
    gold: str
    method: str


NO_ANSWER = Verdict("no_answer", 0.0)


def decided(equal: bool, extracted: str, method: str, detail: str = "") -> Verdict:
    """The verdict on an answer that was found and compared."""
    return Verdict("correct" if equal else "wrong", float(equal), extracted, method, detail)


def strict(text: str, gold: str) -> Verdict:
    answer = extract.boxed(text)
    return decided(exact.equal(answer, gold), answer, "boxed") if answer else NO_ANSWER


def flexible(text: str, gold: str) -> Verdict:
    answer = extract.last_number(text)
    return decided(exact.equal(answer, gold), answer, "last_number") if answer else NO_ANSWER


def symbolic(text: str, gold: str) -> Verdict | Question:
    found = extract.lenient(text)
    if found is None:
        return NO_ANSWER
    if found.method == "last_math" and "=" not in gold:
        return compare(found.text.rpartition("=")[2].strip(), gold, found.method)  # prose ends in "so x + y = 42"
    return compare(found.text, gold, found.method)


def compare(pred: str, gold: str, method: str) -> Verdict | Question:
    """Two answers as written, by the rules of `comparison`."""
    equal = comparison.equivalent(pred, gold)
    if equal is None and max(len(pred), len(gold)) <= _MAX_QUESTION_CHARS:
        return Question(pred, gold, method)
    return decided(bool(equal), pred, method, "too long for computer algebra" if equal is None else "")


_JUDGES: dict[VerifierName, Callable[[str, str], Verdict | Question]] = {
    "strict": strict,
    "flexible": flexible,
    "symbolic": symbolic,
}


def judge(name: VerifierName, response: str, gold: str, stop: Sequence[str]) -> Verdict | Question:
    """The verdict on the text before the first stop string (F12). What raises is an `error`, never `wrong` (F19)."""
    text = extract.before_stop(response, stop)
    try:
        return _JUDGES[name](text, gold)
    except Exception as problem:  # noqa: BLE001 (the boundary of F19: the verifier failed, not the answer)
        return Verdict("error", 0.0, detail=f"{type(problem).__name__}: {problem}"[:500])
