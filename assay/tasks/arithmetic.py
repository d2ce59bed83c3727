"""Sums written by a seeded generator: the data of the quickstart, and of every test that needs data without a download.

A level is a pair (terms, digits); its questions are numbered 0 … space − 1 in mixed radix, so a draw is a number:

    space  = (9 · 10^(digits − 1))^terms · |operators|^(terms − 1)
    number = sha256(seed / split / shape / index) mod space          index = 0, 1, 2, …

A number drawn before is skipped. Hashing (rather than `random`) makes the stream the same in every process and Python
version, and keeps the streams of neighbouring seeds, splits and levels apart: seed 43 is not seed 42 shifted by one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from itertools import count as count_from
from itertools import zip_longest

from assay.contracts.errors import SpecError
from assay.contracts.records import Problem
from assay.contracts.task import ArithmeticSource


def generate(source: ArithmeticSource, task: str, split: str, count: int) -> list[Problem]:
    """`count` distinct problems of a split, spread evenly over the levels and interleaved: a prefix is even too.

    A longer list begins with the shorter one. A level with fewer questions than its share gives all it has: the list is
    then shorter than `count`. Two splits may share questions; the caller tells them apart by id.

    Raises:
        SpecError: two levels name the same (terms, digits), so one question would have two levels.
    """
    _refuse_equal_levels(source)
    shares = _shares(count, len(source.levels))
    per_level = [
        [_problem(source, task, level, number) for number in _numbers(source, split, level, share)]
        for level, share in zip(source.levels, shares, strict=True)
    ]
    return [problem for row in zip_longest(*per_level) for problem in row if problem is not None]


def space(source: ArithmeticSource, level: str) -> int:
    """How many different questions a level has."""
    terms, digits = source.levels[level]
    return int(_values(digits) ** terms * len(source.operators) ** (terms - 1))


def _refuse_equal_levels(source: ArithmeticSource) -> None:
    first_of: dict[tuple[int, int], str] = {}
    for level, shape in source.levels.items():
        if first_of.setdefault(shape, level) != level:
            problem = f"{first_of[shape]!r} and {level!r} are both {shape[0]} terms of {shape[1]} digits"
            raise SpecError("source.levels", problem, "Give each level its own (terms, digits) pair")


def _shares(count: int, levels: int) -> list[int]:
    """`count` split into `levels` parts that differ by one at most, the larger ones first."""
    return [(count + levels - 1 - i) // levels for i in range(levels)]


def _numbers(source: ArithmeticSource, split: str, level: str, share: int) -> list[int]:
    """The first `share` distinct question numbers of the level's stream, or all there are."""
    size = space(source, level)
    drawn: dict[int, None] = {}
    stream = _stream(source, split, level, size)
    while len(drawn) < min(share, size):
        drawn.setdefault(next(stream))
    return list(drawn)


def _stream(source: ArithmeticSource, split: str, level: str, size: int) -> Iterator[int]:
    """Uniform question numbers without end; the bias of the modulus is below 2^-140."""
    terms, digits = source.levels[level]
    for index in count_from():
        key = f"{source.seed}/{split}/{terms}x{digits}{source.operators}/{index}"
        yield int.from_bytes(hashlib.sha256(key.encode()).digest(), "big") % size


def _problem(source: ArithmeticSource, task: str, level: str, number: int) -> Problem:
    values, operators = _decode(source, level, number)
    tail = list(zip(operators, values[1:], strict=True))
    slug = str(values[0]) + "".join(f"{op}{value}" for op, value in tail)
    question = f"What is {values[0]}" + "".join(f" {op} {value}" for op, value in tail) + "?"
    gold = values[0] + sum(-value if op == "-" else value for op, value in tail)
    return Problem(id=f"{task}/{slug}", task=task, question=question, gold=str(gold), level=level)


def _decode(source: ArithmeticSource, level: str, number: int) -> tuple[list[int], list[str]]:
    """The terms and operators of question `number`: its digits in mixed radix, least significant first."""
    terms, digits = source.levels[level]
    values, operators = [], []
    for _ in range(terms):
        number, value = divmod(number, _values(digits))
        values.append(10 ** (digits - 1) + value)
    for _ in range(terms - 1):
        number, which = divmod(number, len(source.operators))
        operators.append(source.operators[which])
    return values, operators


def _values(digits: int) -> int:
    """How many numbers have exactly this many digits and no leading zero."""
    return int(9 * 10 ** (digits - 1))
