"""Reads a formula into a postfix program: a shunting-yard parser without recursion, so nesting of any depth is safe.

Input is a cleaned answer (`normalise.clean`): LaTeX (``\\frac{x}{2}``, ``\\sqrt[3]{x}``, ``\\sin^2 x``, ``\\log_2
8``) or plain (``3*sqrt(5)``, ``4/3-7x/6``). Nothing is evaluated here, and the text is never given to an
interpreter.

Binding, tightest first:  ``!`` and group arguments, ``^`` (to the right), unary minus, juxtaposition and ``/`` (to
the left), a function's bare argument (``\\sin 2x`` is sin(2x)), ``*``, ``+`` and ``-``.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

from assay.verifiers.memory import remembered
from assay.verifiers.normalise import FUNCTION_NAMES, TEXT_OPEN

Instruction = tuple[str, str | Fraction]
"""``("num", value)``, ``("var", name)``, ``("const", name)`` or ``("op", name)``; operands come before operators."""

MAX_CHARS = 20_000
_MAX_DIGITS = 4_000


class Unreadable(ValueError):
    """The text is not a formula of the grammar above."""


def needs_algebra(text: str) -> bool:
    """Whether a text that is not readable holds a command that computer algebra may know, such as ``\\int``."""
    return any(name in _FOR_ALGEBRA for name in _COMMANDS.findall(text))


@dataclass(frozen=True)
class Program:
    """A formula in postfix order."""

    code: tuple[Instruction, ...]

    @property
    def names(self) -> frozenset[str]:
        """The variables that occur."""
        return frozenset(str(value) for kind, value in self.code if kind == "var")

    @property
    def has_imaginary_unit(self) -> bool:
        return ("const", "i") in self.code or ("op", "cis") in self.code

    @property
    def counts(self) -> bool:
        """Whether it holds a factorial or a binomial coefficient: its variables stand for whole numbers."""
        return ("op", "!") in self.code or ("op", "binom") in self.code

    @property
    def bends(self) -> bool:
        """Whether it may be one formula here and another there: for instance |x|, √(x²) or ⌊x⌋."""
        return any(kind == "op" and value in _BENDING for kind, value in self.code)

    @property
    def is_plain_number(self) -> bool:
        """A literal, with or without a sign: no operation but negation."""
        return all(kind == "num" or value == "neg" for kind, value in self.code)


_BENDING = frozenset({"abs", "floor", "ceil", "sqrt", "root"})


@dataclass
class _Operator:
    name: str
    precedence: float
    leftwards: bool = True


@dataclass
class _Opener:
    bracket: str
    is_argument: bool


@dataclass
class _Function:
    """A function waiting for its arguments; `power` is the 2 of ``\\sin^2 x``."""

    name: str
    arity: int
    bare: bool
    power: int | None = None
    got: int = 0
    precedence: float = 2.2


_BINARY = {"+": 1.0, "-": 1.0, "*": 2.0, "/": 2.4, ":": 1.5, "^": 4.0}
_JUXTAPOSED, _NEGATION = 2.4, 2.5
_CLOSERS = {")": "(", "]": "[", "}": "{", "⌋": "⌊", "⌉": "⌈"}
_GROUP_FUNCTIONS = {"frac": ("/", 2), "binom": ("binom", 2), "sqrt": ("sqrt", 1)}
_FUNCTIONS = FUNCTION_NAMES | {"abs"}
_INVERSE = {name.removeprefix("arc"): name for name in FUNCTION_NAMES if name.startswith("arc")}
_WORDS = {"pi": "π", "infinity": "∞", "infty": "∞", "inf": "∞"}
_GREEK = frozenset({
    "alpha", "beta", "gamma", "delta", "epsilon", "varepsilon", "zeta", "eta", "theta", "vartheta", "iota", "kappa",
    "lambda", "mu", "nu", "xi", "rho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "ell",
    "Gamma", "Delta", "Theta", "Lambda", "Xi", "Pi", "Sigma", "Upsilon", "Phi", "Psi", "Omega",
})  # fmt: skip
_ACCENTS = frozenset({"bar", "overline"})
_ACCENTED = re.compile(r"\s*(?:\{\s*([A-Za-z])\s*\}|([A-Za-z])(?![A-Za-z]))")
_FOR_ALGEBRA = frozenset({
    "int", "iint", "iiint", "oint", "sum", "prod", "lim", "max", "min", "gcd", "lcm", "det", "begin", "Re", "Im",
})  # fmt: skip
_COMMANDS = re.compile(r"\\([A-Za-z]+)")
_WORD = "|".join(sorted(_FUNCTIONS | _WORDS.keys() | {"sqrt"}, key=len, reverse=True))
_TOKEN = re.compile(
    rf"\s*(?:(?P<num>\d+\.?\d*|\.\d+)|\\(?P<cmd>[A-Za-z]+)|(?P<word>{_WORD})(?![a-z])|(?P<name>[A-Za-z∅])"
    r"|(?P<const>[π∞ℝℤℕℚℂ])|(?P<sign>[-+*/:^!°%|(){}\[\]⌊⌋⌈⌉]))\s*"
)
_SUBSCRIPT = re.compile(r"\s*_\s*(?:\{([^{}]{0,40})\}|(\d+|[A-Za-z]))")
_PRIMES = re.compile(r"'+")
_POWER = re.compile(r"\s*\^\s*(?:\{\s*(-?\d{1,3})\s*\}|(-?\d{1,3}))\s*")
_BASE = re.compile(r"\s*_\s*")


@dataclass
class _Parser:
    text: str
    code: list[Instruction] = field(default_factory=list)
    stack: list[_Operator | _Opener | _Function] = field(default_factory=list)
    wants_operand: bool = True
    after_function: bool = False
    after_number: bool = False
    position: int = 0
    open_bars: int = 0

    def parse(self) -> Program:
        while self.position < len(self.text):
            self._step()
        if self.wants_operand:
            raise Unreadable("ends where a value must stand")
        self._reduce(0.0)
        if self.stack:
            raise Unreadable("a bracket or an argument is missing")
        return Program(tuple(self.code))

    # Scanning

    def _step(self) -> None:
        match = _TOKEN.match(self.text, self.position)
        if match is None:
            raise Unreadable(f"no formula has {self.text[self.position : self.position + 10]!r}")
        self.position = match.end()
        kind = str(match.lastgroup)
        if kind == "num":
            self._number(match["num"], match.start("num"))
        else:
            _READERS[kind](self, match[kind])

    def _number(self, digits: str, start: int) -> None:
        if self._in_group_function():
            digits = digits[0]  # \frac12 is \frac{1}{2}
            self.position = start + 1
        if len(digits) > _MAX_DIGITS or digits == ".":
            raise Unreadable("a number with too many digits, or none")
        if self.after_number and not (self.text[start - 1] == " " and self._in_power()):
            raise Unreadable("two numbers side by side")
        self._operand(("num", Fraction(int(digits) if digits.isdecimal() else digits)))

    def _command(self, name: str) -> None:
        if name in _GROUP_FUNCTIONS or name in _FUNCTIONS:
            self._function(name)
        elif name in _GREEK:
            self._variable("\\" + name)
        elif name in _ACCENTS and (letter := _ACCENTED.match(self.text, self.position)):
            self.position = letter.end()
            self._variable(f"\\bar {letter[1] or letter[2]}")
        else:
            raise Unreadable(f"no rule for \\{name}")

    def _word(self, name: str) -> None:
        if name in _WORDS:
            self._constant(_WORDS[name])
        else:
            self._function(name)

    def _letter(self, name: str) -> None:
        if name in "ei" and not self.text.startswith(("_", "'"), self.position):
            self._constant(name)
        else:
            self._variable(name)

    def _constant(self, name: str) -> None:
        self._operand(("const", name) if name in "πei" else ("var", name))

    def _variable(self, name: str) -> None:
        for pattern in (_PRIMES, _SUBSCRIPT, _PRIMES):
            if match := pattern.match(self.text, self.position):
                self.position = match.end()
                name += match[0] if pattern is _PRIMES else "_" + (match[1] or match[2] or "").replace(" ", "")
        self._operand(("var", name))

    def _symbol(self, sign: str) -> None:
        if sign in "([{⌊⌈" or (sign == "|" and (self.wants_operand or not self.open_bars)):
            self._open(sign)
        elif sign in ")]}⌋⌉|":
            self._close(_CLOSERS.get(sign, "|"))
        elif sign in "!°%":
            self._postfix(sign)
        elif self.wants_operand:
            self._sign(sign)
        else:
            self._binary(sign)

    def _function(self, name: str) -> None:
        function, arity = _GROUP_FUNCTIONS.get(name, (name, 1))
        entry = _Function(function, arity, bare=name not in _GROUP_FUNCTIONS)
        if name == "sqrt" and self.text.startswith("[", self.position):
            entry.name, entry.arity = "root", 2
        elif entry.bare and (power := _POWER.match(self.text, self.position)):
            self.position = power.end()
            entry.power = int(power[1] or power[2])
        elif name == "log" and (base := _BASE.match(self.text, self.position)):
            self.position = base.end()
            entry.name, entry.arity = "log_base", 2
        if entry.power == -1 and name in _INVERSE:
            entry.name, entry.power = _INVERSE[name], None
        self._juxtapose(before_function=entry.bare)
        self.stack.append(entry)
        self.wants_operand = self.after_function = True

    # Building

    def _in_group_function(self) -> bool:
        top = self.stack[-1] if self.stack else None
        return self.after_function and isinstance(top, _Function) and (not top.bare or top.got + 1 < top.arity)

    def _in_power(self) -> bool:
        """``2^6 3^5`` is a product."""
        top = self.stack[-1] if self.stack else None
        return isinstance(top, _Operator) and top.name == "^"

    def _operand(self, instruction: Instruction) -> None:
        if self._in_group_function():
            self.code.append(instruction)
            self._argument_done()
            return
        self._juxtapose()
        self.code.append(instruction)
        self.wants_operand = self.after_function = False
        self.after_number = instruction[0] == "num"

    def _juxtapose(self, before_function: bool = False) -> None:
        if not self.wants_operand:
            self._reduce(2.0 if before_function else _JUXTAPOSED)
            self.stack.append(_Operator("*", _JUXTAPOSED))
            self.wants_operand, self.after_number = True, False

    def _sign(self, sign: str) -> None:
        if sign not in "+-":
            raise Unreadable(f"{sign!r} has no left side")
        if sign == "-":
            self.stack.append(_Operator("neg", _NEGATION, leftwards=False))
        self.after_function = False

    def _binary(self, sign: str) -> None:
        precedence = _BINARY[sign]
        leftwards = sign != "^"
        self._reduce(precedence if leftwards else precedence + 0.1)
        self.stack.append(_Operator("/" if sign == ":" else sign, precedence, leftwards))
        self.wants_operand, self.after_function, self.after_number = True, False, False

    def _postfix(self, sign: str) -> None:
        if self.wants_operand:
            raise Unreadable(f"{sign!r} has no left side")
        self.code.append(("op", sign))

    def _open(self, bracket: str) -> None:
        is_argument = self.after_function
        if not is_argument:
            self._juxtapose()
        self.stack.append(_Opener(bracket, is_argument))
        self.open_bars += bracket == "|"
        self.wants_operand, self.after_function = True, False

    def _close(self, bracket: str) -> None:
        if self.wants_operand:
            raise Unreadable("an empty group")
        self._reduce(0.0)
        opener = self.stack.pop() if self.stack else None
        if not isinstance(opener, _Opener) or opener.bracket != bracket:
            raise Unreadable("brackets do not match")
        self.open_bars -= bracket == "|"
        if bracket in "|⌊⌈":
            self.code.append(("op", {"|": "abs", "⌊": "floor", "⌈": "ceil"}[bracket]))
        self.after_number = False
        if opener.is_argument:
            self._argument_done()

    def _argument_done(self) -> None:
        function = self.stack[-1]
        assert isinstance(function, _Function)
        function.got += 1
        self.wants_operand = self.after_function = function.got < function.arity
        self.after_number = False
        if function.got == function.arity:
            self._emit(self.stack.pop())

    def _reduce(self, precedence: float) -> None:
        """Emits what binds at least as tightly as `precedence`."""
        while self.stack and not isinstance(top := self.stack[-1], _Opener) and top.precedence >= precedence:
            if isinstance(top, _Function) and top.got + 1 != top.arity:
                raise Unreadable(f"{top.name} lacks an argument")
            self._emit(self.stack.pop())

    def _emit(self, entry: _Operator | _Opener | _Function) -> None:
        assert not isinstance(entry, _Opener)
        self.code.append(("op", entry.name))
        if isinstance(entry, _Function) and entry.power is not None:
            self.code += [("num", Fraction(entry.power)), ("op", "^")]


_READERS: dict[str, Callable[[_Parser, str], None]] = {
    "cmd": _Parser._command,
    "word": _Parser._word,
    "name": _Parser._letter,
    "const": _Parser._constant,
    "sign": _Parser._symbol,
}
_MIXED = re.compile(r"(?<![\d.^_A-Za-z}])(\d+) ?\\frac ?(?:\{(\d+)\}\{(\d+)\}|(\d)(\d))")
_MIXED_SLASH = re.compile(r"(?<![\d.^_])(\d+) (\d+)/(\d+)(?![\d.])")


def _mixed(match: re.Match[str]) -> str:
    whole, above, below = (group for group in match.groups() if group is not None)
    return f"({whole}+{above}/{below})"


def program_of(text: str) -> Program | None:
    """The program of a cleaned answer, or None when it is no formula."""
    try:
        return compile_formula(text)
    except Unreadable:
        return None


@remembered
def compile_formula(text: str) -> Program:
    """The program of a cleaned answer.

    Raises:
        Unreadable: the text is no formula, holds words, or is longer than `MAX_CHARS`.
    """
    if len(text) > MAX_CHARS or TEXT_OPEN in text:
        raise Unreadable("words or too long")
    if "\\frac" in text or "/" in text:
        text = _MIXED_SLASH.sub(_mixed, _MIXED.sub(_mixed, text))
    return _Parser(text.strip()).parse()
