"""What a finished run left behind, as the health checks read it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from assay.contracts.manifest import Finding, Severity
from assay.contracts.records import TraceRow
from assay.contracts.training import TrainSpec
from assay.guards.findings import finding

Point = tuple[int, float]
"""(step, value)."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run: its settings, its metrics by step, its completions."""

    label: str
    """`ARM/seedN`; every finding's `where` begins with it."""
    spec: TrainSpec
    metrics: Mapping[int, Mapping[str, float]]
    """Step -> metric -> value; a metric may be missing at some steps."""
    traces: Sequence[TraceRow] = ()
    validation_problems: int = 1
    """Problems behind each `validation_accuracy`: decides what is noise."""

    def series(self, metric: str) -> list[Point]:
        """The finite values of a metric, by step."""
        rows = sorted(self.metrics.items())
        return [(step, row[metric]) for step, row in rows if math.isfinite(row.get(metric, math.nan))]

    def finding(self, identity: str, severity: Severity, step: int, message: str) -> Finding:
        """A finding about this run from `step` on."""
        return finding(identity, severity, f"{self.label}: step {step}", message)


def first_reaching(points: Sequence[Point], limit: float, above: bool = True) -> int | None:
    """The first step whose value is at or beyond `limit`."""
    return next((step for step, value in points if (value >= limit if above else value <= limit)), None)


def mean_of(points: Sequence[Point]) -> float:
    """Mean value."""
    return fmean(value for _, value in points)


def first_part(points: Sequence[Point], share: float = 0.25) -> Sequence[Point]:
    """The first quarter of a series, one point at least."""
    return points[: max(1, round(len(points) * share))]


def last_part(points: Sequence[Point], share: float = 0.25) -> Sequence[Point]:
    """The last quarter of a series, one point at least."""
    return points[-max(1, round(len(points) * share)) :]
