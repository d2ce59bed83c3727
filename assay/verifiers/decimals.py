"""When a decimal stands for a value that it does not equal.

- It shows enough decimals and as many significant digits (6 unless the verifier says otherwise), and is the exact
  value rounded to nearest or cut off
  (0.333333 ≡ 1/3, 0.33 ≢ 1/3). The exact value must not be a literal itself: 5.000001 ≢ 5 and 0.333333 ≢ 0.33333333.
- It shows 15 to 17 significant digits, and differs by the rounding of binary floating point
  (0.30000000000000004 ≡ 0.3).
"""

from __future__ import annotations

import re
from fractions import Fraction

from assay.verifiers import exact, identity
from assay.verifiers.expression import Program

_DECIMAL = re.compile(r"(-?\d*\.(\d+))(?:(?:\*10\^|[eE])\{?(-?\d{1,3})\}?)?")
_LEADING = re.compile(r"^-?[0.]*")
_FLOAT_DIGITS = range(15, 18)
_FLOAT_ERROR = Fraction(1, 2**51)
_FLOAT_TOLERANCE = Fraction(1, 10**14)


def shows(text: str, value: Program, places: int) -> bool:
    """Whether a decimal is the rounding or the beginning of an exact value."""
    compact = text.replace(" ", "")
    match, shown = _DECIMAL.fullmatch(compact), exact.literal(compact)
    if match is None or not isinstance(shown, Fraction) or value.names or value.is_plain_number:
        return False
    decimals, significant = len(match[2]), _significant_digits(match[1])
    if min(decimals, significant) < places:
        return False
    step = Fraction(10) ** (int(match[3] or 0) - decimals)
    cut = step - step / 10**6  # 0.999999 is not 1, cut off
    below, above = (step / 2, cut) if shown > 0 else (cut, step / 2)
    if significant in _FLOAT_DIGITS:
        error = step / 2 + abs(shown) * _FLOAT_ERROR
        below, above = max(below, error), max(above, error)
    return identity.within(value, shown - below, shown + above)


def same_float(pred: str, gold: str) -> bool:
    """Whether two literals differ by binary rounding alone."""
    a, b = exact.literal(pred), exact.literal(gold)
    if not (isinstance(a, Fraction) and isinstance(b, Fraction)):
        return False
    is_float = any(_significant_digits(text) in _FLOAT_DIGITS for text in (pred, gold) if "." in text)
    return is_float and abs(a - b) <= max(abs(a), abs(b)) * _FLOAT_TOLERANCE


def _significant_digits(decimal: str) -> int:
    return sum(char.isdigit() for char in _LEADING.sub("", decimal))
