"""Reading a run's rows back: metrics and traces. Needs no torch, so that the report can use it."""

from __future__ import annotations

from dataclasses import dataclass

from assay.contracts.records import TraceRow
from assay.storage.artifacts import Artifact
from assay.storage.tables import rows_from_parquet


@dataclass(frozen=True, slots=True)
class MetricRow:
    """One metric of one step."""

    step: int
    name: str
    value: float


def read_metrics(artifact: Artifact) -> dict[int, dict[str, float]]:
    """Step -> metrics, over all parts of a run."""
    table: dict[int, dict[str, float]] = {}
    for info in artifact.list("metrics"):
        for row in rows_from_parquet(artifact.read_bytes(info.path), MetricRow):
            table.setdefault(row.step, {})[row.name] = row.value
    return dict(sorted(table.items()))


def read_traces(artifact: Artifact) -> list[TraceRow]:
    """Every completion of a run, in order."""
    parts = sorted(info.path for info in artifact.list("trace"))
    return [row for part in parts for row in rows_from_parquet(artifact.read_bytes(part), TraceRow)]
