"""Answers without parts: words, numbers and expressions, with or without a unit.

- Words are compared without case, spaces and punctuation, and are never a product of variables.
- Units, percent signs, base subscripts, the base of a bare ``\\log`` and decimals are policies (`MathVerifier`): see
  `normalise` for how a unit is read and `decimals` for when a decimal stands for a value.
- Everything else must be the same function (`identity`).
"""

from __future__ import annotations

import re
from fractions import Fraction

from assay.contracts.verifier import MathVerifier
from assay.verifiers import clock, decimals, exact, identity
from assay.verifiers.expression import Program, needs_algebra, program_of
from assay.verifiers.normalise import TEXT_CLOSE, TEXT_OPEN, same_unit, split_unit, words_of
from assay.verifiers.ternary import Ternary, any_of

_LETTERS = re.compile(r"[A-Za-z][A-Za-z .'-]*")
_UNLIKE_VARIABLES = re.compile(r"[A-Za-z]{4}|[A-Z]{2}|[A-Z][a-z]")
_BASE_SUBSCRIPT = re.compile(r"\(?(-?(?:[0-9A-F.]{1,100}|\d[0-9a-f.]{0,99}))\)?_\{?\(?(\d{1,2})\)?\}?")
_RESIDUE = re.compile(r"(?:([A-Za-z](?:_\w)?) ?≡ ?)?(.+?) ?\(? ?mod ?(\w+) ?\)?")
_RESIDUE_CHARS = 200
_SCIENTIFIC = re.compile(r"-?\d+(?:\.\d*)?[eE][+-]?\d{1,4}")
_BARE_LOG, _LOG_10 = ("op", "log"), ("op", "lg")


def compare(pred: str, gold: str, rules: MathVerifier) -> Ternary:
    """Whether two cleaned answers without parts are the same; None when one is LaTeX that no rule here reads."""
    if exact.same(pred, gold):
        return True
    if (same_time := clock.same(pred, gold)) is not None:
        return same_time
    if "mod" in pred + gold and any(residues := (_residue(pred), _residue(gold))):
        return _compare_residues(residues[0] or ("", pred, ""), residues[1] or ("", gold, ""), rules)
    if _is_verbal(pred) or _is_verbal(gold):
        return bool(words_of(gold)) and words_of(pred) == words_of(gold)
    (value_pred, unit_pred), (value_gold, unit_gold) = _units(pred, gold)
    if not _units_agree(unit_pred, unit_gold, rules):
        return False
    values = _without_base(value_pred, value_gold, rules)
    return values is not None and _percents(values, (unit_pred == "%", unit_gold == "%"), rules)


def _units(pred: str, gold: str) -> list[tuple[str, str]]:
    """Both answers without and their units. The m of ``5 m`` is a unit where the other answer has that very unit."""
    parts = [split_unit(pred), split_unit(gold)]
    for index, text in enumerate((pred, gold)):
        unit, other = parts[index][1], parts[1 - index][1]
        if other and not unit and text.endswith(" " + other):
            parts[index] = text[: -len(other)].rstrip(), other
    return parts


def _residue(text: str) -> tuple[str, str, str] | None:
    """The x, 3 and 7 of ``x ≡ 3 (mod 7)``."""
    bare = text.replace(TEXT_OPEN, "").replace(TEXT_CLOSE, "") if len(text) <= _RESIDUE_CHARS else ""
    match = _RESIDUE.fullmatch(bare)
    return (match[1] or "", match[2], match[3]) if match else None


def _compare_residues(pred: tuple[str, str, str], gold: tuple[str, str, str], rules: MathVerifier) -> Ternary:
    """Name and modulus may be left out, but not be others."""
    agree = all("" in pair or pair[0] == pair[1] for pair in zip(pred[::2], gold[::2], strict=True))
    return agree and _compare_values(pred[1], gold[1], rules)


def _units_agree(pred: str, gold: str, rules: MathVerifier) -> bool:
    """Percent signs have a policy of their own."""
    if rules.units == "ignored" or same_unit(pred, gold):
        return True
    if "%" in (pred, gold):
        return not (pred and gold)
    return rules.units == "optional" and not (pred and gold)


def _percents(values: tuple[str, str], percents: tuple[bool, bool], rules: MathVerifier) -> Ternary:
    """28 % as 28, as 0.28 or as either. Two percentages are compared by their numbers."""
    as_written = rules.percent != "factor" or percents[0] == percents[1]
    verdict = _compare_values(*values, rules) if as_written else False
    if verdict or percents[0] == percents[1] or rules.percent == "sign":
        return verdict
    pred, gold = (f"({value})%" if percent else value for value, percent in zip(values, percents, strict=True))
    return any_of((verdict, _compare_values(pred, gold, rules)))


def _is_verbal(text: str) -> bool:
    """Words alone: marked as text, or letters that no formula has side by side."""
    if TEXT_OPEN in text and split_unit(text)[0] == text:
        return True
    bare = text.replace(TEXT_OPEN, " ").replace(TEXT_CLOSE, " ").strip()
    if not _LETTERS.fullmatch(bare) or not _UNLIKE_VARIABLES.search(bare):
        return False
    program = program_of(bare)
    return program is None or all(kind == "var" for kind, value in program.code if value != "*")


def _without_base(pred: str, gold: str, rules: MathVerifier) -> tuple[str, str] | None:
    """The values without their base subscripts, or None where these differ."""
    digits_pred, base_pred = _split_base(pred)
    digits_gold, base_gold = _split_base(gold)
    if base_pred == base_gold:
        return digits_pred, digits_gold
    if rules.bases == "required" or (base_pred and base_gold):
        return None
    return digits_pred, digits_gold


def _split_base(text: str) -> tuple[str, str]:
    match = _BASE_SUBSCRIPT.fullmatch(text.replace(" ", "")) if "_" in text else None
    if match is None or any(int(digit, 16) >= int(match[2]) for digit in match[1] if digit.isalnum()):
        return text, ""
    return match[1].upper(), match[2]


def _compare_values(pred: str, gold: str, rules: MathVerifier) -> Ternary:
    if exact.same(pred, gold):
        return True
    if exact.key_of(pred)[0] == exact.key_of(gold)[0] == "n" and "." not in pred and "." not in gold:
        return False
    pred, gold = pred.strip(), gold.strip()
    literal_pred, literal_gold = exact.literal(pred), exact.literal(gold)
    if literal_pred is not None and literal_gold is not None:
        return rules.decimal_places is not None and decimals.same_float(pred, gold)
    program_pred, program_gold = _program(pred), _program(gold)
    if program_pred is None or program_gold is None:
        return None if needs_algebra(pred) or needs_algebra(gold) else False
    return _same(program_pred, program_gold, rules) or _shown(pred, program_pred, gold, program_gold, rules)


def _same(pred: Program, gold: Program, rules: MathVerifier) -> bool:
    if _BARE_LOG not in pred.code + gold.code:
        return identity.same(pred, gold)
    natural = rules.logs != "decimal" and identity.same(pred, gold)
    return natural or (rules.logs != "natural" and identity.same(_decimal_logs(pred), _decimal_logs(gold)))


def _decimal_logs(program: Program) -> Program:
    return Program(tuple(_LOG_10 if instruction == _BARE_LOG else instruction for instruction in program.code))


def _shown(pred: str, program_pred: Program, gold: str, program_gold: Program, rules: MathVerifier) -> bool:
    places = rules.decimal_places
    return places is not None and (
        decimals.shows(pred, program_gold, places) or decimals.shows(gold, program_pred, places)
    )


def _program(text: str) -> Program | None:
    """``1e-7`` is a number only when it is the whole answer: in ``4e+7p`` the e is Euler's."""
    if _SCIENTIFIC.fullmatch(text) and isinstance(value := exact.literal(text), Fraction):
        return Program((("num", value),))
    return program_of(text)


def constant(text: str) -> complex | None:
    """The value of an answer without variables in machine numbers, or None."""
    program = program_of(split_unit(text)[0])
    return None if program is None or program.names else identity.fingerprint(program)


def fingerprint(text: str) -> complex | None:
    """The value of an answer in machine numbers, or None; a percentage or an angle has several."""
    program = None if text[-1:] in ("%", "°") else program_of(text)
    return None if program is None else identity.fingerprint(program)
