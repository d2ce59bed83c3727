"""The parts of an answer: reads a cleaned answer into lists, tuples, sets, intervals, unions, matrices and relations.

[[1,2],[3,4]]       Matrix, as are the environments, with a factor in front or not
1, 2 and 3          Group without brackets; "and", "or" and ``;`` separate like commas, or separate groups
(1,2)  ⦃1,2⦄  [0,1)  Group with its brackets (a tuple, a set, an interval: what it is shows in the comparison)
cases               Group of equations, or of values with their conditions
(0,1) ∪ (2,3)       Combination, as are ∩, ∖ and inequalities joined by "or" and "and"
1 ± √2              Group of 1 + √2 and 1 − √2, also inside a list; (±1, 0) of two tuples
2:3:5               Group of 3/2 and 5/2
x ∈ [1,2]           the set alone; ⦃x | x > 3⦄ is the condition
a = 4, -8, -10      the list 4, −8, −10
x + 1 < 2           Relation of two formulas; chains have more sides
anything else       Formula
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from assay.verifiers.memory import remembered
from assay.verifiers.normalise import TEXT_CLOSE, TEXT_OPEN

_OPEN, _CLOSE = "([{⦃⟨", ")]}⦄⟩"
_SIGNS = "=<>≤≥≠"
_MAX_NESTING = 40
_MAX_SIGNS = 3
_WORD = r"(?:and|or)"
_SEPARATOR_WORD = re.compile(rf"{TEXT_OPEN}\s*(?:,\s*)?{_WORD}\s*{TEXT_CLOSE}|,?\s*(?<![A-Za-z\\]){_WORD}(?![A-Za-z])")
_STRUCTURED = re.compile(
    r"[,;∪∩∖∈=<>≤≥≠±∓⦃⟨\[ℝ∅]|:.*:|\\begin|(?<![A-Za-z\\])(?:and|or|all|solutions?|set)(?![A-Za-z])", re.IGNORECASE
)
_JOINING = {
    "∪": re.compile(rf"\s*,?\s*{TEXT_OPEN}?\s*(?<![A-Za-z\\])or(?![A-Za-z])\s*{TEXT_CLOSE}?\s*"),
    "∩": re.compile(rf"\s*,?\s*{TEXT_OPEN}?\s*(?<![A-Za-z\\])and(?![A-Za-z])\s*{TEXT_CLOSE}?\s*"),
}
_INEQUALITIES = "<>≤≥≠"
_ALL_REALS = re.compile(rf"{TEXT_OPEN}?\s*(?:all\s+reals|all\s+real\s+numbers)\s*{TEXT_CLOSE}?", re.IGNORECASE)
_NOTHING = re.compile(rf"{TEXT_OPEN}?\s*(?:no (?:real )?solutions?|(?:the )?empty set)\s*{TEXT_CLOSE}?", re.IGNORECASE)
_BUILDER = re.compile(r"^⦃\s*[A-Za-z]\s*(?:∈\s*ℝ\s*)?[|:](.+)⦄$")
_ALIGNED = re.compile(r"&\s*(?=[=<>≤≥])|(?<==)\s*&")
_IF = re.compile(rf"^{TEXT_OPEN}\s*(?:if|for|when)\s*{TEXT_CLOSE}\s*")
_RATIO = re.compile(r"(?!\d{1,2}:[0-5]\d:[0-5]\d$)[^:=<>≤≥≠]+(?::[^:=<>≤≥≠]+){2,}")
_LESS_A_SET = re.compile(r"(?<=[)\]⦄ℝ])\s*-\s*(?=⦃)|(?<=ℝ)\s*-\s*(?=[(\[])")
_CASES = re.compile(r"^⦃?\s*\\begin\{(cases|aligned|gathered)\}(?:\{[lcr| ]*\})?(.*)\\end\{\1\}\s*⦄?$", re.DOTALL)
_MEMBERSHIP = re.compile(r"^[^∈=<>≤≥]{1,20}∈\s*(?=[(\[⦃ℝ∅])")
_MATRIX = re.compile(
    r"^((?:[^=,;&\\]|\\frac|\\sqrt|\\pi){0,60}?)"
    r"\\begin\{([pbB]?(?:small)?matrix|array)\}(?:\{[lcr| ]*\})?(.*)\\end\{\2\}$",
    re.DOTALL,
)
_ROW_END = re.compile(r"\\\\(?:\[[^\]]*\])?")


@dataclass(frozen=True)
class Formula:
    """Anything without parts: a number, an expression, words."""

    text: str


@dataclass(frozen=True)
class Group:
    """Parts between brackets; `opening` and `closing` are empty for a bare list."""

    opening: str
    closing: str
    parts: tuple[Answer, ...]

    @property
    def ordered(self) -> bool:
        return self.opening not in ("", "⦃", "{")


@dataclass(frozen=True)
class Combination:
    """Sets joined by one sign: ∪, ∩ or ∖."""

    sign: str
    parts: tuple[Answer, ...]


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple[Answer, ...], ...]


@dataclass(frozen=True)
class Relation:
    """``sides[0] signs[0] sides[1] …``"""

    sides: tuple[str, ...]
    signs: tuple[str, ...]


Answer = Formula | Group | Combination | Matrix | Relation


@remembered
def read(text: str) -> Answer:
    """The structure of a cleaned answer; one nested deeper than any answer is counts as one formula."""
    text = _peel(text.strip())
    if not _STRUCTURED.search(text):
        return Formula(text)
    if max(_nesting(text), text.count("\\begin")) > _MAX_NESTING:
        return Formula(text)
    if (matrix := _MATRIX.match(text)) and "\\begin" not in matrix[3]:
        return _read_matrix(matrix[1], matrix[3])
    if cases := _CASES.match(text):
        return _read_cases(_ALIGNED.sub("", cases[2]))
    if (builder := _BUILDER.match(text)) and any(sign in builder[1] for sign in _SIGNS):
        return read(builder[1])
    text = _MEMBERSHIP.sub("", text)
    if text.replace(" ", "") in ("ℝ", "(-∞,∞)") or _ALL_REALS.fullmatch(text):
        return Formula("ℝ")
    if text.replace(" ", "") == "⦃⦄" or _NOTHING.fullmatch(text):
        return Formula("∅")
    if combination := _combination(text):
        return combination
    if parts := _list(text):
        return _listed(_without_name(tuple(parts)))
    if ("±" in text or "∓" in text) and "⦃" not in text and text[0] != "{":
        return _listed(tuple(map(read, _signed(text))))
    if _RATIO.fullmatch(text):
        return _read_ratio(text)
    if _enclosed(text) and (not _is_plainly_bracketed(text) or len(split_top(text[1:-1], ",;")) > 1):
        return _read_bracket(text)
    return _read_relation(text) or Formula(text)


# Brackets


def split_top(text: str, separators: str) -> list[str]:
    """Splits at separators outside all brackets; one pass."""
    parts, depth, start = [], 0, 0
    for position, char in enumerate(text):
        if char in _OPEN:
            depth += 1
        elif char in _CLOSE:
            depth -= 1
        elif depth <= 0 and char in separators:
            parts.append(text[start:position].strip())
            start = position + 1
    return [*parts, text[start:].strip()]


def _enclosed(text: str) -> bool:
    """Whether the first character opens a bracket that the last one closes; ``[0,1)`` counts."""
    if len(text) < 2 or text[0] not in _OPEN or text[-1] not in _CLOSE:
        return False
    depth = 0
    for position, char in enumerate(text):
        depth += (char in _OPEN) - (char in _CLOSE)
        if depth == 0:
            return position == len(text) - 1
    return False


def _is_plainly_bracketed(text: str) -> bool:
    return text[0] + text[-1] in ("()", "{}")


def _nesting(text: str) -> int:
    depth = deepest = 0
    for char in text:
        depth += (char in _OPEN) - (char in _CLOSE)
        deepest = max(deepest, depth)
    return deepest


def _peel(text: str) -> str:
    """Without round brackets and braces around the whole, however many."""
    if not text or text[0] not in "({":
        return text
    text = _peel_all_but_few(text)
    while _enclosed(text) and _is_plainly_bracketed(text) and len(split_top(text[1:-1], ",;")) == 1:
        text = text[1:-1].strip()
    return text


def _peel_all_but_few(text: str) -> str:
    """Linear in the depth: how low the balance falls inside says how many of the outer brackets must stay."""
    depth = min(len(text) - len(text.lstrip("({")), len(text) - len(text.rstrip(")}")))
    lowest = balance = 0
    for char in text[depth : len(text) - depth]:
        balance += (char in _OPEN) - (char in _CLOSE)
        lowest = min(lowest, balance)
    surplus = depth - (1 - lowest)
    return text[surplus : len(text) - surplus] if surplus > 0 and balance == 0 else text


# Kinds of answers


def _combination(text: str) -> Combination | None:
    text = _LESS_A_SET.sub("∖", text)
    for sign in "∪∩∖":
        if sign in text and len(parts := split_top(text, sign)) > 1:
            return Combination(sign, tuple(map(read, parts)))
    for sign, word in _JOINING.items():
        if any(char in text for char in _INEQUALITIES) and len(parts := word.split(text)) > 1:
            sides = tuple(map(read, parts))
            return Combination(sign, sides) if all(map(_is_inequality, sides)) else None
    return None


def _is_inequality(answer: Answer) -> bool:
    return isinstance(answer, Relation) and "=" not in answer.signs


def _list(text: str) -> list[Answer]:
    """Comma-separated parts; ``;`` and "and" bind looser and make groups when each holds as many parts."""
    chunks = [part for chunk in split_top(_SEPARATOR_WORD.sub(";", text), ";") if (part := chunk.strip(" ,"))]
    rows = [[part for part in split_top(chunk, ",") if part] for chunk in chunks]
    widths = {len(row) for row in rows}
    if len(rows) > 1 and len(widths) == 1 and widths != {1}:
        return [Group("", "", tuple(map(read, row))) for row in rows]
    return _spliced(read(part) for row in rows for part in row) if sum(map(len, rows)) > 1 else []


def _spliced(parts: Iterable[Answer]) -> list[Answer]:
    """a ± b inside a list contributes both values."""
    spliced: list[Answer] = []
    for part in parts:
        spliced.extend(part.parts if isinstance(part, Group) and part.opening == "" else (part,))
    return spliced


def _without_name(parts: tuple[Answer, ...]) -> tuple[Answer, ...]:
    first = parts[0]
    if not isinstance(first, Relation) or any(isinstance(part, Relation) for part in parts[1:]):
        return parts
    if first.signs == ("≠",):
        return (first, *(Relation((first.sides[0], p.text), ("≠",)) for p in parts[1:] if isinstance(p, Formula)))
    return (read(first.sides[1]), *parts[1:]) if first.signs == ("=",) else parts


def _listed(parts: tuple[Answer, ...]) -> Answer:
    """A list; what x is not it is not altogether."""
    excluding = all(isinstance(part, Relation) and part.signs == ("≠",) for part in parts)
    return Combination("∩", parts) if excluding else Group("", "", parts)


def _read_bracket(text: str) -> Group | Matrix:
    inner = text[1:-1]
    separator = ";" if len(split_top(inner, ";")) > 1 else ","
    parts = tuple(_spliced(read(part) for part in split_top(inner, separator) if part))
    rows = [part.parts for part in parts if isinstance(part, Group) and part.opening == text[0] == "["]
    return Matrix(tuple(rows)) if 1 < len(rows) == len(parts) else Group(text[0], text[-1], parts)


def _read_matrix(factor: str, body: str) -> Matrix:
    rows = [split_top(row, "&") for row in _ROW_END.split(body.replace("\\hline", "")) if row.strip()]
    return Matrix(tuple(tuple(read(f"{factor}({entry})" if factor else entry) for entry in row) for row in rows))


def _read_cases(body: str) -> Group:
    """Equations under one brace; or values with their conditions, each a pair."""
    rows = [[_IF.sub("", part.strip(" ,")) for part in split_top(row, "&")] for row in _ROW_END.split(body)]
    parts = [read(row[0]) if len(row) == 1 else Group("⟨", "⟩", tuple(map(read, row))) for row in rows if any(row)]
    return Group("", "", tuple(parts))


def _read_ratio(text: str) -> Group:
    """``2:3:5`` as its quotients 3/2 and 5/2."""
    first, *others = split_top(text, ":")
    return Group(":", ":", tuple(Formula(f"({other})/({first})") for other in others))


def _read_relation(text: str) -> Relation | None:
    signs = tuple(char for char in text if char in _SIGNS)
    sides = tuple(split_top(text, _SIGNS))
    return Relation(sides, signs) if len(sides) > 1 and len(signs) == len(sides) - 1 and all(sides) else None


def _signed(text: str) -> list[str]:
    """The values of ``a ± b``: every sign is chosen by itself, unless there is a ``∓`` or there are many."""
    if "∓" in text or text.count("±") > _MAX_SIGNS:
        return [text.replace("±", plus).replace("∓", minus) for plus, minus in ("+-", "-+")]
    values = [text]
    for _ in range(text.count("±")):
        values = [value.replace("±", sign, 1) for value in values for sign in "+-"]
    return values
