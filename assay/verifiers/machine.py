"""A stack machine that evaluates a postfix program over exact fractions, and over mpmath numbers where it must.

A value stays a `Fraction` until it is irrational (π, e, a root that is no fraction, a trigonometric function, …),
so sums, products and integer powers of rationals are exact. Roots and logarithms are real in real mode (the cube
root of −8 is −2), and on the principal branch in complex mode.

Bounds, so that hostile input costs milliseconds: fractions up to 40,000 bits, irrational values up to 10^±300, 500
irrational operations a run, and an allowance of work for all runs of a comparison together (`limited_work`), counted in
rough microseconds by the sizes of operands, so that the same text always ends the same way. What lies beyond is not
evaluated: `TooLarge`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

import mpmath  # type: ignore[import-untyped]

from assay.verifiers.expression import Program
from assay.verifiers.normalise import FUNCTION_NAMES

_MAX_BITS = 40_000
_MAX_LOG10 = 300
MAX_IRRATIONAL_OPERATIONS = 500
WORK_ALLOWANCE_US = 100_000
_GUARD_DIGITS = 12
_CHEAP = frozenset({"+", "-", "*", "/", "neg", "abs", "%"})
_local = threading.local()


@contextmanager
def limited_work(allowance_us: int = WORK_ALLOWANCE_US) -> Iterator[None]:
    """One comparison in this thread, and what it may cost; outside of one nothing is counted."""
    _local.work_left_us = allowance_us
    try:
        yield
    finally:
        _local.work_left_us = None


def _charge(cost_us: int) -> None:
    left_us = getattr(_local, "work_left_us", None)
    if left_us is not None:
        _local.work_left_us = left_us - cost_us
        if left_us < cost_us:
            raise TooLarge


class TooLarge(ArithmeticError):
    """A value or the work lies beyond the bounds of the module docstring."""


class Undefined(ArithmeticError):
    """Division by zero, or a real root or logarithm of a negative number."""


Value = Any
"""A Fraction, or a number of the thread's own mpmath context."""


def _context(digits: int) -> Any:
    """mpmath's global context is shared between threads; each thread has its own here."""
    if not hasattr(_local, "mp"):
        _local.mp, _local.digits = mpmath.MPContext(), 0
    if _local.digits != digits:
        _local.mp.dps = _local.digits = digits
    return _local.mp


class Machine:
    """Evaluates at one point, with a number of decimal digits for irrational values, in real or complex mode.

    `range_log10` is the largest |log10 |v|| among the irrational intermediate results so far, and the largest size of a
    fraction that met one.
    """

    def __init__(self, point: dict[str, Fraction], digits: int, real: bool) -> None:
        self.point, self.real = point, real
        self.mp = _context(digits)
        self.range_log10 = 0
        self.irrational_operations = 0
        self._elementary_us = 10 + digits * digits // 250
        self._noise_bits = int((digits - _GUARD_DIGITS) * 3.3219)

    def run(self, program: Program) -> Value:
        """The value of a program.

        Raises:
            TooLarge: beyond the bounds of the module.
            Undefined: no (real) value here.
        """
        stack: list[Value] = []
        for kind, value in program.code:
            if kind == "op":
                arity, operation = _OPERATIONS[str(value)]
                arguments = stack[-arity:]
                del stack[-arity:]
                if str(value) not in _CHEAP:
                    _charge(self._elementary_us)
                stack.append(self._checked(operation(self, *arguments)))
            else:
                stack.append(self._load(kind, value))
        return stack.pop()

    def _load(self, kind: str, value: str | Fraction) -> Value:
        if kind == "num":
            return self._checked(value)
        if kind == "var":
            return self.point[str(value)]
        return {"π": +self.mp.pi, "e": +self.mp.e, "i": self.mp.mpc(0, 1)}[str(value)]

    def _checked(self, value: Value) -> Value:
        if isinstance(value, Fraction):
            bits = value.numerator.bit_length() + value.denominator.bit_length()
            if bits > _MAX_BITS:
                raise TooLarge
            if bits > 256:
                _charge(bits * bits // 80_000)
            return value
        self.irrational_operations += 1
        if self.irrational_operations > MAX_IRRATIONAL_OPERATIONS:
            raise TooLarge
        if self.mp.isnan(value) or self.mp.isinf(value):
            raise Undefined
        if value:
            magnitude = abs(int(self.mp.mag(value) * 0.30103)) + 1
            self.range_log10 = max(self.range_log10, magnitude)
        if self.range_log10 > _MAX_LOG10:
            raise TooLarge
        return value

    def inexact(self, value: Value) -> Value:
        """A number of the mpmath context, whatever the value was."""
        if isinstance(value, Fraction):
            if abs(value.numerator.bit_length() - value.denominator.bit_length()) > 3.3 * _MAX_LOG10:
                raise TooLarge
            size_log10 = int(max(value.numerator.bit_length(), value.denominator.bit_length()) * 0.30103)
            self.range_log10 = max(self.range_log10, min(size_log10, _MAX_LOG10))
            return self.mp.mpf(value.numerator) / value.denominator
        return value

    # Operations

    def add(self, a: Value, b: Value) -> Value:
        return a + b if both_exact(a, b) else self._total(self.inexact(a), self.inexact(b))

    def subtract(self, a: Value, b: Value) -> Value:
        return a - b if both_exact(a, b) else self._total(self.inexact(a), -self.inexact(b))

    def _total(self, a: Value, b: Value) -> Value:
        return self._denoised(a + b, self.mp.mag(a))

    def _denoised(self, value: Value, magnitude_bits: int) -> Value:
        """What is left of a number of some magnitude when all its digits cancel is zero, as far as they tell."""
        return value if not value or self.mp.mag(value) > magnitude_bits - self._noise_bits else self.mp.zero

    def multiply(self, a: Value, b: Value) -> Value:
        return a * b if both_exact(a, b) else self.inexact(a) * self.inexact(b)

    def divide(self, a: Value, b: Value) -> Value:
        if not b:
            raise Undefined
        return a / b if both_exact(a, b) else self.inexact(a) / self.inexact(b)

    def negate(self, a: Value) -> Value:
        return -a

    def percent(self, a: Value) -> Value:
        return self.divide(a, Fraction(100))

    def degrees(self, a: Value) -> Value:
        return self.inexact(a) * self.mp.pi / 180

    def absolute(self, a: Value) -> Value:
        return abs(a)

    def power(self, base: Value, exponent: Value) -> Value:
        if isinstance(exponent, Fraction) and exponent.denominator == 1:
            return self._integer_power(base, int(exponent))
        if isinstance(exponent, Fraction) and exponent.denominator <= 1000:
            return self._integer_power(self.root(Fraction(exponent.denominator), base), exponent.numerator)
        if not base:
            raise Undefined
        return self._general_power(self.inexact(base), self.inexact(exponent))

    def _integer_power(self, base: Value, exponent: int) -> Value:
        if not base:
            if exponent <= 0:
                raise Undefined
            return base
        if isinstance(base, Fraction):
            bits = base.numerator.bit_length() + base.denominator.bit_length() - 1
            if base not in (1, -1) and abs(exponent) * bits > 2 * _MAX_BITS:
                raise TooLarge
            return base ** (exponent % 2 if base == -1 else exponent if base != 1 else 1)
        if abs(exponent) > 10**6 or abs(self.mp.mag(base) * exponent) > 3.4 * _MAX_LOG10 + abs(exponent):
            raise TooLarge
        return base**exponent

    def _general_power(self, base: Value, exponent: Value) -> Value:
        if self.real and not (_is_real(base) and base > 0):
            raise Undefined
        return self.exponential(exponent * self.mp.log(base))

    def root(self, index: Value, a: Value) -> Value:
        if not isinstance(index, Fraction) or index.denominator != 1 or not 1 <= index <= 1000:
            raise Undefined
        n = int(index)
        if not a:
            return a
        if isinstance(a, Fraction) and (self.real or a > 0):
            if a < 0:
                return self._odd_negative(n, lambda: self.root(index, -a))
            if (exact := _exact_root(n, a)) is not None:
                return exact
        value = self.inexact(a)
        if self.real and _is_real(value) and value < 0:
            return self._odd_negative(n, lambda: self.mp.root(-value, n))
        return self.mp.root(value, n)

    def _odd_negative(self, n: int, positive: Callable[[], Value]) -> Value:
        if n % 2 == 0:
            raise Undefined
        return -positive()

    def square_root(self, a: Value) -> Value:
        return self.root(Fraction(2), a)

    def exponential(self, a: Value) -> Value:
        value = self.inexact(a)
        if abs(self.mp.re(value)) > 2.4 * _MAX_LOG10:
            raise TooLarge
        return self.mp.exp(value)

    def logarithm(self, a: Value) -> Value:
        value = self.inexact(a)
        if not value or (self.real and not (_is_real(value) and value > 0)):
            raise Undefined
        return Fraction(0) if a == 1 else self._denoised(self.mp.log(value), 0)

    def logarithm_to_base(self, base: Value, a: Value) -> Value:
        if isinstance(base, Fraction) and isinstance(a, Fraction) and (exact := _exact_log(base, a)) is not None:
            return exact
        return self.divide(self.logarithm(a), self.logarithm(base))

    def logarithm_10(self, a: Value) -> Value:
        return self.logarithm_to_base(Fraction(10), a)

    def elementary(self, name: str, a: Value) -> Value:
        value = self.inexact(a)
        try:
            result = getattr(self.mp, name)(value)
        except (ZeroDivisionError, OverflowError, ValueError) as problem:
            raise Undefined from problem
        if self.real and not _is_real(result):
            raise Undefined
        return self._denoised(result, max(0, self.mp.mag(value))) if name in _VANISHING else result

    def direction(self, a: Value) -> Value:
        """cis a = cos a + i sin a."""
        if self.real:
            raise Undefined
        return self.mp.expj(self.inexact(a))

    def floor(self, a: Value) -> Value:
        return Fraction(math.floor(a)) if isinstance(a, Fraction) else self.elementary("floor", a)

    def ceiling(self, a: Value) -> Value:
        return Fraction(math.ceil(a)) if isinstance(a, Fraction) else self.elementary("ceil", a)

    def factorial(self, a: Value) -> Value:
        n = _natural(a)
        if n * max(1, n.bit_length()) > 2 * _MAX_BITS:
            raise TooLarge
        return Fraction(math.factorial(n))

    def binomial(self, a: Value, b: Value) -> Value:
        n, k = _natural(a), _natural(b)
        if min(k, abs(n - k)) * max(1, n.bit_length()) > 2 * _MAX_BITS:
            raise TooLarge
        return Fraction(math.comb(n, k))


_VANISHING = frozenset({"sin", "cos", "tan", "cot", "sinh", "tanh"})


def both_exact(a: Value, b: Value) -> bool:
    return isinstance(a, Fraction) and isinstance(b, Fraction)


def _is_real(value: Value) -> bool:
    return not hasattr(value, "_mpc_")


def _natural(value: Value) -> int:
    if not isinstance(value, Fraction) or value.denominator != 1 or value < 0:
        raise Undefined
    return int(value)


def _integer_root(n: int, value: int) -> int | None:
    """The exact n-th root of a positive integer, or None; Newton's iteration from above."""
    if n == 1:
        return value
    guess = 1 << -(-value.bit_length() // n)
    while True:
        better = ((n - 1) * guess + value // guess ** (n - 1)) // n
        if better >= guess:
            break
        guess = better
    return guess if guess**n == value else None


def _exact_root(n: int, a: Fraction) -> Fraction | None:
    above, below = _integer_root(n, a.numerator), _integer_root(n, a.denominator)
    return Fraction(above, below) if above is not None and below is not None else None


def _exact_log(base: Fraction, a: Fraction) -> Fraction | None:
    """log_base(a) when it is a small integer."""
    if base <= 0 or base == 1 or a <= 0:
        raise Undefined
    guess = round(
        (math.log(a.numerator) - math.log(a.denominator)) / (math.log(base.numerator) - math.log(base.denominator))
    )
    return Fraction(guess) if abs(guess) <= 64 and base**guess == a else None


def _elementary(name: str) -> tuple[int, Callable[..., Value]]:
    return 1, lambda machine, a: machine.elementary(name, a)


_OPERATIONS: dict[str, tuple[int, Callable[..., Value]]] = {
    **{name: _elementary(name.replace("arc", "a")) for name in FUNCTION_NAMES},
    "+": (2, Machine.add),
    "-": (2, Machine.subtract),
    "*": (2, Machine.multiply),
    "/": (2, Machine.divide),
    "^": (2, Machine.power),
    "neg": (1, Machine.negate),
    "%": (1, Machine.percent),
    "°": (1, Machine.degrees),
    "!": (1, Machine.factorial),
    "abs": (1, Machine.absolute),
    "floor": (1, Machine.floor),
    "ceil": (1, Machine.ceiling),
    "sqrt": (1, Machine.square_root),
    "root": (2, Machine.root),
    "binom": (2, Machine.binomial),
    "cis": (1, Machine.direction),
    "exp": (1, Machine.exponential),
    "ln": (1, Machine.logarithm),
    "log": (1, Machine.logarithm),
    "lg": (1, Machine.logarithm_10),
    "log_base": (2, Machine.logarithm_to_base),
}
