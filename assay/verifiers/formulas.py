"""Answers without parts: words, numbers and expressions, with or without a unit.

- Words are compared without case, spaces and punctuation, and are never a product of variables.
- A unit is dropped when one side has none; a percent sign may also be a factor of 1/100 (see `normalise`).
- A base subscript (``52_8``) is dropped when one side has none.
- Decimals: see `decimals`. Everything else must be the same function (`identity`).
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

from assay.verifiers import decimals, exact, identity
from assay.verifiers.expression import Program, program_of
from assay.verifiers.normalise import TEXT_CLOSE, TEXT_OPEN, split_unit, words_of
from assay.verifiers.ternary import Ternary, any_of

_LETTERS = re.compile(r"[A-Za-z][A-Za-z .'-]*")
_UNLIKE_VARIABLES = re.compile(r"[A-Za-z]{4}|[A-Z]{2}|[A-Z][a-z]")
_BASE_SUBSCRIPT = re.compile(r"(-?[0-9A-F.]{1,100})_\{?\d{1,2}\}?")
_SCIENTIFIC = re.compile(r"-?\d+(?:\.\d*)?[eE][+-]?\d{1,4}")


def compare(pred: str, gold: str) -> Ternary:
    """Whether two cleaned answers without parts are the same; None when one is LaTeX that no rule here reads."""
    if exact.equal(pred, gold):
        return True
    if _is_verbal(pred) or _is_verbal(gold):
        return bool(words_of(gold)) and words_of(pred) == words_of(gold)
    (value_pred, unit_pred), (value_gold, unit_gold) = split_unit(pred), split_unit(gold)
    if unit_pred and unit_gold and unit_pred != unit_gold:
        return False
    verdict = _compare_values(*_without_base(value_pred, value_gold))
    if not verdict and (unit_pred == "%") != (unit_gold == "%"):
        as_factors = _compare_values(_hundredths(value_pred, unit_pred), _hundredths(value_gold, unit_gold))
        return any_of((verdict, as_factors))
    return verdict


def _is_verbal(text: str) -> bool:
    """Words alone: marked as text, or letters that no formula has side by side."""
    if TEXT_OPEN in text and split_unit(text)[0] == text:
        return True
    bare = text.replace(TEXT_OPEN, " ").replace(TEXT_CLOSE, " ").strip()
    if not _LETTERS.fullmatch(bare) or not _UNLIKE_VARIABLES.search(bare):
        return False
    program = program_of(bare)
    return program is None or all(kind == "var" for kind, value in program.code if value != "*")


def _without_base(pred: str, gold: str) -> tuple[str, str]:
    base_pred, base_gold = (_BASE_SUBSCRIPT.fullmatch(text.replace(" ", "")) for text in (pred, gold))
    if base_pred and not base_gold:
        return base_pred[1], gold
    if base_gold and not base_pred:
        return pred, base_gold[1]
    return pred, gold


def _hundredths(value: str, unit: str) -> str:
    return f"({value})%" if unit == "%" else value


def _compare_values(pred: str, gold: str) -> Ternary:
    if exact.equal(pred, gold):
        return True
    pred, gold = pred.strip(), gold.strip()
    literal_pred, literal_gold = exact.literal(pred), exact.literal(gold)
    if literal_pred is not None and literal_gold is not None:
        return decimals.same_float(pred, gold)
    program_pred, program_gold = _program(pred), _program(gold)
    if program_pred is None or program_gold is None:
        return None if "\\" in pred + gold else False
    return (
        identity.same(program_pred, program_gold)
        or decimals.shows(pred, program_gold)
        or decimals.shows(gold, program_pred)
    )


def _program(text: str) -> Program | None:
    """``1e-7`` is a number only when it is the whole answer: in ``4e+7p`` the e is Euler's."""
    if _SCIENTIFIC.fullmatch(text) and isinstance(value := exact.literal(text), Fraction):
        return Program((("num", value),))
    return program_of(text)


@lru_cache(maxsize=4_096)
def fingerprint(text: str) -> complex | None:
    """The value of an answer in machine numbers, or None."""
    program = program_of(text)
    return None if program is None else identity.fingerprint(program)
