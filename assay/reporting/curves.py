"""Training curves: rows of metrics into lines, thinned without losing an extreme.

A seed is a thin line; the bold line is the mean over an arm's seeds at the steps that *all* of them logged, so that a
run stopped early never bends the mean. What is not finite is left out and counted.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from assay.contracts.report import CurvePoint
from assay.reporting import words

Line = list[tuple[int, float]]
"""(step, value), by step."""

POINTS_PER_FIGURE = 5_000


@dataclass(frozen=True, slots=True)
class Curve:
    """One metric. `lines[arm][seed]` and `means[arm]` are in the order of the arms."""

    metric: str
    lines: dict[str, dict[int, Line]]
    means: dict[str, Line]
    not_finite: int


def curves(points: Iterable[CurvePoint], arms: Iterable[str]) -> list[Curve]:
    """All metrics ever logged, the well-known ones first; `lines` is empty where no value was finite."""
    order = list(arms)
    values: dict[str, dict[str, dict[int, Line]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    not_finite: dict[str, int] = defaultdict(int)
    for point in sorted(points, key=lambda point: (point.arm, point.seed, point.step)):
        for metric, value in point.values.items():
            if math.isfinite(value):
                values[metric][point.arm][point.seed].append((point.step, value))
            else:
                not_finite[metric] += 1
    return [
        _curve(metric, values[metric], order, not_finite[metric])
        for metric in sorted({*values, *not_finite}, key=_place)
    ]


def _place(metric: str) -> tuple[int, str]:
    known = list(words.CURVES)
    return (known.index(metric) if metric in known else len(known), metric)


def _curve(metric: str, by_arm: dict[str, dict[int, Line]], order: list[str], not_finite: int) -> Curve:
    arms = [arm for arm in order if arm in by_arm]
    count = sum(len(by_arm[arm]) + 1 for arm in arms)
    most = max(24, POINTS_PER_FIGURE // max(count, 1))
    lines = {arm: {seed: thin(line, most) for seed, line in by_arm[arm].items()} for arm in arms}
    means = {arm: thin(mean(by_arm[arm].values()), most) for arm in arms}
    return Curve(metric, lines, means, not_finite)


def mean(lines: Iterable[Line]) -> Line:
    """The mean at the steps common to all lines."""
    tables = [dict(line) for line in lines]
    steps = sorted(set.intersection(*(set(table) for table in tables))) if tables else []
    return [(step, sum(table[step] for table in tables) / len(tables)) for step in steps]


def thin(line: Line, most: int) -> Line:
    """At most `most` points: of each stretch of steps its lowest and its highest, so that spikes survive."""
    if len(line) <= most:
        return line
    values = np.array([value for _, value in line])
    stretches = np.array_split(np.arange(len(line)), max(1, most // 2))
    kept = {int(part[pick(values[part])]) for part in stretches for pick in (np.argmin, np.argmax)}
    return [line[index] for index in sorted(kept)]


def wants_log(curve: Curve) -> bool:
    """Whether positive values span more than three decades: then only a logarithmic axis shows both ends."""
    values = [value for seeds in curve.lines.values() for line in seeds.values() for _, value in line]
    positive = [value for value in values if value > 0]
    return len(positive) == len(values) > 0 and max(positive) > 1000 * min(positive)
