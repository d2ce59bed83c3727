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
    rollback: int = 0
    """Number of the rollback that threw the step away; 0: it counts."""


def read_metrics(artifact: Artifact) -> dict[int, dict[str, float]]:
    """Step -> metrics, over all parts of a run; without steps that were thrown away."""
    table: dict[int, dict[str, float]] = {}
    for part in live_parts(artifact, "metrics"):
        for row in rows_from_parquet(artifact.read_bytes(part), MetricRow):
            table.setdefault(row.step, {})[row.name] = row.value
    return dict(sorted(table.items()))


def read_traces(artifact: Artifact) -> list[TraceRow]:
    """Every completion of a run, in order; without steps that were thrown away."""
    parts = live_parts(artifact, "trace")
    return [row for part in parts for row in rows_from_parquet(artifact.read_bytes(part), TraceRow)]


def live_parts(artifact: Artifact, folder: str) -> list[str]:
    """The parts whose steps count: what a rollback threw away lies in folders below."""
    return sorted(info.path for info in artifact.list(folder) if info.path.count("/") == 1)


def steps_of(part: str) -> tuple[int, int]:
    """`trace/000004-000006.parquet` -> (4, 6): first step, and the one behind the last."""
    start, _, end = part.rpartition("/")[2].removesuffix(".parquet").partition("-")
    return int(start), int(end)
