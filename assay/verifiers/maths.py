"""Final answers of mathematics: found in the response by a named rule, then compared.

Exact equality is decided here, by keys (`exact`). What is the same mathematics is decided by parts and formulas
(`comparison`); what those leave open becomes a `Question` for a worker.
"""

from __future__ import annotations

import re

from assay.contracts.records import Verdict
from assay.contracts.verifier import SYMBOLIC, MathVerifier
from assay.verifiers import comparison, exact, extract
from assay.verifiers.outcome import UNPARSEABLE, Question, decided

VERSION = 4
PARALLEL = 1
_MAX_QUESTION_CHARS = 2_000
_EQUALS = re.compile(r"(?<![<>!])=")


def judge(spec: MathVerifier, response: str, reference: str) -> Verdict | Question:
    """The verdict on a response whose right answer is `reference`."""
    found = extract.find(spec.extract, response)
    if found is None:
        return UNPARSEABLE
    if spec.equality == "exact":
        return decided(exact.equal(found.text, reference), found.text, found.method)
    if found.method == "last_math" and "=" not in reference:
        # prose ends in "so x + y = 42"
        return compare(_EQUALS.split(found.text)[-1].strip(), reference, found.method, spec)
    return compare(found.text, reference, found.method, spec)


def echo(spec: MathVerifier, reference: str) -> str:
    """The gold answer, written where the extraction looks for it."""
    return _ECHOES.get(spec.extract, "\\boxed{{{}}}").format(reference)


_ECHOES = {
    "minerva": "Final Answer: The final answer is ${}$. I hope it is correct.",
    "the_answer_is": "The answer is {}.",
}


def ready(spec: MathVerifier) -> None:
    """Nothing is needed."""


def compare(pred: str, gold: str, method: str, rules: MathVerifier = SYMBOLIC) -> Verdict | Question:
    """Two answers as written, by the rules of `comparison`."""
    equal = comparison.equivalent(pred, gold, rules)
    if equal is None and max(len(pred), len(gold)) <= _MAX_QUESTION_CHARS:
        return Question(pred, gold, method)
    return decided(bool(equal), pred, method, "too long for computer algebra" if equal is None else "")
