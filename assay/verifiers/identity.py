"""Whether two formulas are the same function: both are evaluated at fixed pseudo-random points (Schwartz 1980,
Zippel 1979).

Polynomials and rational functions take rational values at rational points, so they are compared exactly, and two
different rationals are never equal however close. For irrational values the working precision follows the range of
the intermediate results: with R = max |log10 |v|| and n instructions, P = 100 + 3 R + n digits, and a = b iff |a −
b| ≤ 10^(30 + R − P): far above rounding, and far under any difference that formulas of that size show in practice.

Points: two with all variables positive, one with all negative, one mixed; values depend on the variable's name
alone. Where an absolute value, a root or a rounding may bend the function there are as many further out, and as many
again beyond those: |x − 9| is 9 − x only up to 9. Where a factorial or a binomial coefficient occurs the points are
whole and positive. A point where one side has no real value is skipped; if all are, or the imaginary unit occurs, both
sides are evaluated on the principal complex branch. A formula beyond the bounds of `machine` differs from every formula
that is not written alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache

from assay.verifiers.expression import Program
from assay.verifiers.machine import MAX_IRRATIONAL_OPERATIONS, Machine, TooLarge, Undefined, Value, both_exact

_POINTS = 4
_SCALES = (1, 13, 150)
_WHOLE_POINTS = 8
_FIRST_LOOK_DIGITS = 150
_FINGERPRINT_DIGITS = 30
_MARGIN_DIGITS = 30


@lru_cache(maxsize=4_096)
def _coordinate(name: str, index: int, whole: bool) -> Fraction:
    """The value of a variable at a point: a scale times 1/2 to 2, negative at 2, of either sign at 3; ∞ is positive.
    Whole ones lie between 2 and 17."""
    seed = hashlib.sha256(f"{index}:{name}".encode(errors="surrogatepass")).digest()
    if whole:
        return Fraction(2 + seed[5] % 16)
    size = Fraction(1_000 + int.from_bytes(seed[:4], "big") % 2_999, 1_999) * _SCALES[index // _POINTS]
    negative = index % _POINTS == 2 or (index % _POINTS == 3 and seed[4] % 2 == 0)
    return -size if negative and name != "∞" else size


def _machine(program: Program, index: int, real: bool, digits: int, whole: bool = False) -> Machine:
    return Machine({name: _coordinate(name, index, whole) for name in program.names}, digits, real)


def same(a: Program, b: Program) -> bool:
    """Whether two formulas agree at every point where both are defined; False when there is no such point."""
    if a.code == b.code:
        return True
    imaginary = a.has_imaginary_unit or b.has_imaginary_unit
    for real in (False,) if imaginary else (True, False):
        verdicts = list(_verdicts(a, b, real))
        if verdicts:
            return all(verdicts)
    return False


def _verdicts(a: Program, b: Program, real: bool) -> Iterator[bool]:
    whole = a.counts or b.counts
    for index in range(_points(a, b)):
        try:
            equal = _same_at(a, b, index, real, whole)
        except Undefined:
            continue
        except TooLarge:
            equal = False
        yield equal
        if not equal:
            return


def _points(a: Program, b: Program) -> int:
    if not a.names | b.names:
        return 1
    if a.counts or b.counts:
        return _WHOLE_POINTS
    return _POINTS * len(_SCALES) if a.bends or b.bends else _POINTS


def _same_at(a: Program, b: Program, index: int, real: bool, whole: bool) -> bool:
    machine_a = _machine(a, index, real, _FIRST_LOOK_DIGITS, whole)
    machine_b = _machine(b, index, real, _FIRST_LOOK_DIGITS, whole)
    value_a, value_b = machine_a.run(a), machine_b.run(b)
    if both_exact(value_a, value_b):
        return bool(value_a == value_b)
    if _clearly_apart(value_a, value_b):
        return False
    widest = max(machine_a.range_log10, machine_b.range_log10)
    digits = max(_precision_digits(a, widest), _precision_digits(b, widest), _FIRST_LOOK_DIGITS)
    if digits > _FIRST_LOOK_DIGITS:
        value_a = _machine(a, index, real, digits, whole).run(a)
        machine_b = _machine(b, index, real, digits, whole)
        value_b = machine_b.run(b)
    gap = abs(machine_b.inexact(value_a) - machine_b.inexact(value_b))
    return bool(gap <= machine_b.mp.mpf(10) ** (_MARGIN_DIGITS + widest - digits))


def _precision_digits(program: Program, range_log10: int) -> int:
    return 100 + 3 * range_log10 + min(len(program.code), MAX_IRRATIONAL_OPERATIONS)


def _clearly_apart(a: Value, b: Value) -> bool:
    """A first look in machine numbers; magnitudes over 10^300 and tiny ones are looked at properly."""
    try:
        x, y = complex(a), complex(b)
    except OverflowError:
        return False
    return abs(x - y) > 1e-6 * max(abs(x), abs(y)) > 1e-6


def within(program: Program, low: Fraction, high: Fraction) -> bool:
    """Whether the value of a constant formula is real and lies between two fractions, both included."""
    try:
        first_look = _machine(program, 0, True, _FIRST_LOOK_DIGITS)
        value = first_look.run(program)
        if isinstance(value, Fraction):
            return low <= value <= high
        machine = _machine(program, 0, True, _precision_digits(program, first_look.range_log10))
        return bool(machine.inexact(low) <= machine.run(program) <= machine.inexact(high))
    except (TooLarge, Undefined):
        return False


def sign(program: Program) -> int:
    """−1, 0 or 1: the sign of the real value at the first point.

    Raises:
        TooLarge, Undefined: there is none.
    """
    value = _machine(program, 0, True, _FIRST_LOOK_DIGITS).run(program)
    if hasattr(value, "_mpc_"):
        raise Undefined
    return int(value > 0) - int(value < 0)


def order(a: Program, b: Program) -> int:
    """−1, 0 or 1 as a constant is less than, equal to or greater than another.

    Raises:
        TooLarge, Undefined: one has no real value within the bounds.
    """
    return 0 if same(a, b) else sign(Program((*a.code, *b.code, ("op", "-"))))


def fingerprint(program: Program) -> complex | None:
    """The value at the first point in machine numbers, to sort out what cannot be equal; None if there is none."""
    try:
        return complex(_machine(program, 0, False, _FINGERPRINT_DIGITS).run(program))
    except (TooLarge, Undefined, OverflowError):
        return None
