"""Cheap exact comparison: an answer becomes a key, and two answers are equal when their keys are.

A key is ``("n", value)`` for a number and ``("s", text)`` for anything else. Numbers are integers, decimals
(``256.``, ``.5``, ``1,234.50``, ``1e-7``), ratios (``3/4``, ``\\frac{3}{4}``) and mixed numbers
(``1\\frac{3}{4}``), as exact fractions. A literal beyond 500 digits or powers of ten stays ``(sign, digits,
exponent)`` without zeros at its ends, which is unique too, so equality needs no arithmetic and a number of any size
costs time linear in its length. Nothing is rounded: 1e-7 ≠ 2e-7. With a space behind it a comma separates numbers, but
never before 000.
"""

from __future__ import annotations

import re
from fractions import Fraction

from assay.verifiers.memory import remembered
from assay.verifiers.normalise import TEXT_CLOSE, TEXT_OPEN, clean

Huge = tuple[str, str, int]
Number = int | Fraction | Huge
Key = tuple[str, Number | str]

_LIMIT = 500
_SIMPLE = re.compile(r"-?\d{1,15}")
_LITERAL = re.compile(r"([+-]?)(\d{1,3}(?:,\d{3})+|\d*)(?:\.(\d*))?(?:(?:[eE]|\*10\^)\{?([+-]?\d{1,15})\}?)?")
_RATIO = re.compile(r"([+-]?)(?:\\frac\{([+-]?\d{1,500})\}\{([+-]?\d{1,500})\}|\(?(\d{1,500})\)?/\(?(\d{1,500})\)?)")
_MIXED = re.compile(r"([+-]?)(\d{1,500})\\frac\{(\d{1,500})\}\{(\d{1,500})\}")
_DIGIT_GAP = re.compile(r"(?<=\d) (?=\d)")
_MIXED_SLASH = re.compile(r"(?<![\d.^_])(\d+) (\d+)/(\d+)(?![\d.])")
_SPACED_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?![\d,/]| \d)")
_LISTED = re.compile(r"\d\s*,\s+(?!0\d\d(?!\d))\d")
_RATIO_ENDS = frozenset("0123456789})")
_FRAC_ARGUMENT = re.compile(r"\\frac\s*(?:\{([^{}\\]*)\}|([0-9A-Za-z]))\s*(?:\{([^{}\\]*)\}|([0-9A-Za-z]))")
_SCRIPT = re.compile(r"([\^_])\{(\w)\}")


def literal(text: str) -> Number | None:
    """A number written in digits; None for anything else."""
    if text.isdecimal() and text.isascii() and len(text) <= _LIMIT:
        return Fraction(int(text))
    match = _LITERAL.fullmatch(text)
    if match is None or not (match[2] or match[3]):
        return None
    whole, decimals = match[2].replace(",", ""), match[3] or ""
    exponent = int(match[4] or 0) - len(decimals)
    digits = (whole + decimals).lstrip("0")
    bare = digits.rstrip("0")
    exponent += len(digits) - len(bare)
    if not bare:
        return Fraction(0)
    if len(bare) <= _LIMIT and abs(exponent) <= _LIMIT:
        value = Fraction(int(bare)) * Fraction(10) ** exponent
        return -value if match[1] == "-" else value
    return ("-" if match[1] == "-" else "", bare, exponent)


def _ratio(text: str) -> Fraction | None:
    if not text or text[-1] not in _RATIO_ENDS:
        return None
    if match := _MIXED.fullmatch(text):
        whole, above, below = int(match[2]), int(match[3]), int(match[4])
    elif match := _RATIO.fullmatch(text):
        whole, above, below = 0, int(match[2] or match[4]), int(match[3] or match[5])
    else:
        return None
    if below == 0:
        return None
    value = whole + Fraction(above, below)
    return -value if match[1] == "-" else value


def number(text: str) -> Number | None:
    """The exact value of a compact (space-free) number, or None."""
    return value if (value := literal(text)) is not None else _ratio(text)


def compact(cleaned: str) -> str:
    """A cleaned answer without spaces and redundant braces: ``\\frac12`` and ``\\frac {1}{2}`` are one string."""
    text = _FRAC_ARGUMENT.sub(_braced, cleaned) if "\\frac" in cleaned else cleaned
    text = _SCRIPT.sub(r"\1\2", text) if "{" in text else text
    if " " in text and _DIGIT_GAP.search(text):
        text = _MIXED_SLASH.sub(r"\1\\frac{\2}{\3}", text)
        text = _DIGIT_GAP.sub("␣", _SPACED_THOUSANDS.sub(lambda match: match[0].replace(" ", ""), text))
    return _peel(text.replace(TEXT_OPEN, "").replace(TEXT_CLOSE, "").replace(" ", ""))


def _braced(match: re.Match[str]) -> str:
    above = match[1] if match[1] is not None else match[2]
    below = match[3] if match[3] is not None else match[4]
    return f"\\frac{{{above}}}{{{below}}}"


def _peel(text: str) -> str:
    """Brackets around a whole number are decoration, however many there are."""
    if not text or text[0] not in "({":
        return text
    depth = min(len(text) - len(text.lstrip("({")), len(text) - len(text.rstrip(")}")))
    if not depth or not re.fullmatch(r"[+-]?[\d.,]+|[A-J]", text[depth : len(text) - depth]):
        return text
    inner = text[depth : len(text) - depth]
    return text if "," in inner else inner


def key(answer: str) -> Key:
    """The exact key of an answer as written; see the module docstring."""
    if _SIMPLE.fullmatch(answer):
        return ("n", int(answer))
    return key_of(clean(answer))


@remembered
def key_of(cleaned: str) -> Key:
    """The exact key of a cleaned answer."""
    text = compact(cleaned)
    value = None if _LISTED.search(cleaned) else number(text)
    return ("s", text) if value is None else ("n", value)


def equal(pred: str, gold: str) -> bool:
    """Whether two answers have the same key; an empty answer equals nothing."""
    if pred == gold:
        return bool(gold.strip())
    return bool(pred.strip()) and key(pred) == key(gold)


def same(pred: str, gold: str) -> bool:
    """The same for cleaned answers."""
    return bool(pred) and (pred == gold or key_of(pred) == key_of(gold))
