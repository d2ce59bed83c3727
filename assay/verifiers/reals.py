"""Sets of real numbers as pieces in order that do not touch, so that two ways of writing a set become one.

Intervals, single numbers, ∅, ℝ, what an inequality in one variable states (x ≠ 3, |x| > 2), and unions, intersections
and differences of these. Ends are constant formulas; their order is decided exactly (`identity.order`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cmp_to_key, reduce
from typing import NamedTuple

from assay.verifiers import identity
from assay.verifiers.expression import Program, program_of
from assay.verifiers.machine import TooLarge, Undefined
from assay.verifiers.structure import Answer, Combination, Formula, Group, Relation

_MAX_PIECES = 64


class End(NamedTuple):
    """A number or ±∞, and whether the piece begins or stops just before it (−1), at it (0) or just behind it (1)."""

    text: str
    program: Program | None
    side: int


class Piece(NamedTuple):
    """The numbers between two ends."""

    low: End
    high: End


Pieces = tuple[Piece, ...]

_MINUS_INFINITY, _INFINITY = End("-∞", None, -1), End("∞", None, 1)
ALL: Pieces = (Piece(_MINUS_INFINITY, _INFINITY),)


class NotReal(ValueError):
    """The answer is no set of real numbers that is written with constants."""


def pieces(answer: Answer) -> Pieces:
    """The set in normal form.

    Raises:
        NotReal: it is none.
        TooLarge, Undefined: an end has no real value within the bounds.
    """
    match answer:
        case Formula("ℝ"):
            return ALL
        case Formula("∅"):
            return ()
        case Formula():
            return (_number(answer),)
        case Group("{" | "⦃", _, parts):
            return _joined(_number(part) for part in parts)
        case Group("(" | "[" as opening, ")" | "]" as closing, (Formula(low), Formula(high))):
            return _joined([Piece(_end(low, 1 if opening == "(" else -1), _end(high, -1 if closing == ")" else 1))])
        case Combination(sign, parts) if len(parts) <= _MAX_PIECES:
            return reduce(_OPERATIONS[sign], map(pieces, parts))
        case Relation((_, value), ("≠",)):
            return _without(ALL, pieces(Formula(value)))
        case _:
            raise NotReal


def _number(answer: Answer) -> Piece:
    if not isinstance(answer, Formula):
        raise NotReal
    return Piece(_end(answer.text, -1), _end(answer.text, 1))


def _end(text: str, side: int) -> End:
    compact = text.replace(" ", "").removeprefix("+")
    if compact in ("∞", "-∞"):
        return _INFINITY if compact == "∞" else _MINUS_INFINITY
    program = program_of(text)
    if program is None or program.names:
        raise NotReal
    return End(text, program, side)


def _order(a: End, b: End) -> int:
    if a.program is None or b.program is None:
        rank_a, rank_b = (end.side if end.program is None else 0 for end in (a, b))
        return (rank_a > rank_b) - (rank_a < rank_b)
    return identity.order(a.program, b.program) or (a.side > b.side) - (a.side < b.side)


_by_position = cmp_to_key(_order)


def _joined(loose: Iterable[Piece]) -> Pieces:
    """In order; what overlaps or touches becomes one, what is empty nothing."""
    solid = [piece for piece in loose if _order(piece.low, piece.high) < 0]
    if len(solid) > _MAX_PIECES:
        raise NotReal
    joined: list[Piece] = []
    for piece in sorted(solid, key=lambda piece: _by_position(piece.low)):
        if joined and _order(piece.low, joined[-1].high) <= 0:
            joined[-1] = Piece(joined[-1].low, max(joined[-1].high, piece.high, key=_by_position))
        else:
            joined.append(piece)
    return tuple(joined)


def _union(a: Pieces, b: Pieces) -> Pieces:
    return _joined((*a, *b))


def _intersection(a: Pieces, b: Pieces) -> Pieces:
    return _joined(
        Piece(max(p.low, q.low, key=_by_position), min(p.high, q.high, key=_by_position)) for p in a for q in b
    )


def _without(a: Pieces, b: Pieces) -> Pieces:
    return reduce(_intersection, (_complement(piece) for piece in b), a)


def _complement(piece: Piece) -> Pieces:
    return _joined([Piece(_MINUS_INFINITY, piece.low), Piece(piece.high, _INFINITY)])


_OPERATIONS = {"∪": _union, "∩": _intersection, "∖": _without}


def same(pred: Answer, gold: Answer) -> bool | None:
    """Whether two answers are the same set of real numbers; None where one is no such set."""
    try:
        a, b = pieces(pred), pieces(gold)
        return len(a) == len(b) and all(
            _order(p.low, q.low) == 0 == _order(p.high, q.high) for p, q in zip(a, b, strict=True)
        )
    except (NotReal, TooLarge, Undefined):
        return None
