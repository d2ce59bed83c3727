"""Equations and inequalities.

- ``x = 5`` equals ``5`` when the left side is a name (``x``, ``a_3``, ``f(x)``, ``|AB|``), not a formula (``2x =
  10``). Of a chain of equalities the first and the last member count; a calculation (``5 + 5 = 10``) is its result.
- ``f^{-1}(x) = …`` is named as ``f(x)`` is; ``f(x) = 2x`` and ``y = 2x`` are equal, ``x = 5`` and ``y = 5`` are not.
- ``1 ≤ x ≤ 2`` and ``[1,2]``, ``x < 3`` and ``(−∞,3)``, ``|x| < 3`` and ``(−3,3)`` are equal.
- Two equations are equal side by side, turned round, or when their differences of sides are proportional (x²/4 +
  y²/3 = 1 and x²/16 + y²/12 = 1/4); two inequalities likewise, where a negative factor turns the sign.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from assay.verifiers import identity
from assay.verifiers.expression import Program, program_of
from assay.verifiers.machine import TooLarge, Undefined
from assay.verifiers.structure import Answer, Combination, Formula, Group, Relation, read
from assay.verifiers.ternary import Ternary, all_of, any_of

Compare = Callable[[Answer, Answer], Ternary]
"""How the parts are compared; the caller's own function, since parts may be lists again."""

_NAME_LIKE = re.compile(r"(?=.*[A-Za-z])[A-Za-z\\|(){}_,':/ 0-9]{1,200}")
_SUBSCRIPT = re.compile(r"_\s*(?:\{[^{}]*\}|\w)")
_INVERSE = re.compile(r"\^\s*\{?\s*-\s*1\s*\}?")
_FUNCTION_OF_X = re.compile(r"[A-Za-z]\s*\(\s*x\s*\)")
_MIRRORED = {"(": ")", ")": "(", "[": "]", "]": "["}
_FLIPPED = {"<": ">", ">": "<", "≤": "≥", "≥": "≤", "=": "=", "≠": "≠"}


def compare(pred: Answer, gold: Answer, compare_parts: Compare) -> Ternary:
    """Whether two answers, one of which at least is a relation, are the same."""
    if isinstance(pred, Relation) and isinstance(gold, Relation):
        return _compare_relations(_ends(pred), _ends(gold), compare_parts)
    if isinstance(pred, Relation):
        value = _meaning(pred)
        return compare_parts(value, gold) if value else _undecided(pred)
    assert isinstance(gold, Relation)
    value = _meaning(gold)
    return compare_parts(pred, value) if value else _undecided(gold)


def _undecided(relation: Relation) -> Ternary:
    """An equation says nothing but itself; the solutions of an inequality are a matter for computer algebra."""
    return False if set(relation.signs) == {"="} else None


def _meaning(relation: Relation) -> Answer | None:
    """The value or the interval that a relation states, if it states one."""
    return _value(relation) if set(relation.signs) == {"="} else _interval(relation)


def _value(relation: Relation) -> Answer | None:
    left = _INVERSE.sub("", relation.sides[0])
    named = _NAME_LIKE.fullmatch(left) and not re.search(r"\d", _SUBSCRIPT.sub("", left))
    return read(relation.sides[-1]) if named or all(map(_is_constant, relation.sides)) else None


def _interval(relation: Relation) -> Answer | None:
    """``a < x ≤ b`` as (a, b], ``x < b`` as (−∞, b), ``|x| > a`` as two; None if no variable is bounded."""
    upward = _turned(relation) if relation.signs[0] in ">≥" else relation
    sides, signs = upward.sides, upward.signs
    if any(sign not in "<≤" for sign in signs):
        return None
    if len(sides) == 2:
        sides, signs = (("-∞", *sides), ("<", *signs)) if _is_variable(sides[0]) else ((*sides, "∞"), (*signs, "<"))
    if len(sides) != 3 or not (_is_variable(sides[1]) and _is_constant(sides[0]) and _is_constant(sides[2])):
        return None
    opening, closing = "[" if signs[0] == "≤" else "(", "]" if signs[1] == "≤" else ")"
    interval = Group(opening, closing, (Formula(sides[0]), Formula(sides[2])))
    return _both_signs(sides[0], sides[2], interval) if "|" in sides[1] else interval


def _both_signs(low: str, high: str, interval: Group) -> Answer:
    """The numbers whose absolute value lies in an interval."""
    opening, closing = _MIRRORED[interval.closing], _MIRRORED[interval.opening]
    if low == "-∞":
        return Group(opening, interval.closing, (Formula(f"-({high})"), Formula(high)))
    return Combination("∪", (Group(opening, closing, (Formula(f"-({high})"), Formula(f"-({low})"))), interval))


def _is_constant(text: str) -> bool:
    program = program_of(text)
    return program is not None and not program.names - {"∞"}


def _is_variable(text: str) -> bool:
    """A variable or its absolute value."""
    program = program_of(text)
    return program is not None and program.code[0][0] == "var" and program.code[1:] in ((), (("op", "abs"),))


def stated_set(relation: Relation) -> tuple[Answer, frozenset[str]] | None:
    """The numbers that an inequality in one variable describes, and the variable."""
    meaning = relation if relation.signs == ("≠",) and _is_variable(relation.sides[0]) else _interval(relation)
    return (meaning, _variables(relation)) if meaning else None


def _ends(relation: Relation) -> Relation:
    """The first and the last member of a chain of equalities."""
    if len(relation.sides) > 2 and set(relation.signs) == {"="}:
        return Relation((relation.sides[0], relation.sides[-1]), ("=",))
    return relation


def _turned(relation: Relation) -> Relation:
    return Relation(relation.sides[::-1], tuple(_FLIPPED[sign] for sign in reversed(relation.signs)))


def _compare_relations(pred: Relation, gold: Relation, compare_parts: Compare) -> Ternary:
    interval_pred, interval_gold = _interval(pred), _interval(gold)
    if interval_pred and interval_gold and _variables(pred) == _variables(gold):
        return compare_parts(interval_pred, interval_gold)
    if all(map(_is_constant, (*pred.sides, *gold.sides))):
        return pred.signs == gold.signs and compare_parts(read(pred.sides[-1]), read(gold.sides[-1]))
    pred, gold = _as_curves(pred, gold)
    agree = any_of(_sides_agree(pred, turned, compare_parts) for turned in (gold, _turned(gold)))
    if agree or len(pred.sides) != 2 or len(gold.sides) != 2:
        return agree
    return _proportional(pred, gold) or agree


def _as_curves(*relations: Relation) -> tuple[Relation, ...]:
    """``f(x) = …`` as ``y = …`` where the other equation is one for y."""
    if all(relation.sides[0] != "y" for relation in relations):
        return relations
    return tuple(
        Relation(("y", *relation.sides[1:]), relation.signs)
        if _FUNCTION_OF_X.fullmatch(relation.sides[0])
        else relation
        for relation in relations
    )


def _variables(relation: Relation) -> frozenset[str]:
    names = (program.names for side in relation.sides if (program := program_of(side)))
    return frozenset[str]().union(*names) - {"∞"}


def _sides_agree(pred: Relation, gold: Relation, compare_parts: Compare) -> Ternary:
    if pred.signs != gold.signs:
        return False
    return all_of(compare_parts(read(p), read(g)) for p, g in zip(pred.sides, gold.sides, strict=True))


def _proportional(pred: Relation, gold: Relation) -> bool:
    """a(x) b(y) = a(y) b(x) for the differences of sides a and b and all x, y, with a ratio of the right sign."""
    a, b = _difference(pred), _difference(gold)
    if (
        a is None
        or b is None
        or not (a.names and b.names)
        or gold.signs[0] not in (pred.signs[0], _FLIPPED[pred.signs[0]])
    ):
        return False
    try:
        ratio = identity.sign(a) * identity.sign(b)
    except (TooLarge, Undefined):
        return False
    wanted = {1, -1} if pred.signs[0] in "=≠" else {1} if pred.signs == gold.signs else {-1}
    return ratio in wanted and identity.same(_product(a, _elsewhere(b)), _product(_elsewhere(a), b))


def _difference(relation: Relation) -> Program | None:
    left, right = map(program_of, relation.sides)
    return Program((*left.code, *right.code, ("op", "-"))) if left and right else None


def _elsewhere(program: Program) -> Program:
    """The same formula at another point: every variable renamed."""
    return Program(tuple((kind, f"{value}@" if kind == "var" else value) for kind, value in program.code))


def _product(a: Program, b: Program) -> Program:
    return Program((*a.code, *b.code, ("op", "*")))
