"""What a run leaves for people and for the report: trace rows, metric rows, TensorBoard events.

    trace/000000-000010.parquet     one row per completion, steps 0 … 9
    metrics/000000-000010.parquet   one row per step and metric
    tensorboard/                    the metrics, for the usual tool

Parts are cut at checkpoints, so a resumed run writes the very parts that the killed one would have written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

from assay.contracts.records import TraceRow
from assay.storage.artifacts import Artifact
from assay.storage.tables import rows_to_parquet
from assay.training.history import MetricRow


class Recorder:
    """Collects rows between checkpoints and writes them as one part."""

    def __init__(self, artifact: Artifact, start_step: int) -> None:
        self.artifact = artifact
        self.start_step = start_step
        self.traces: list[TraceRow] = []
        self.metrics: list[MetricRow] = []

    def add(self, step: int, metrics: dict[str, float], traces: Sequence[TraceRow]) -> None:
        """Rows of one step."""
        self.metrics += [MetricRow(step, name, value) for name, value in metrics.items()]
        self.traces += traces

    def flush(self, next_step: int) -> None:
        """Write everything since the last flush as the part [start, next_step)."""
        part = f"{self.start_step:06d}-{next_step:06d}.parquet"
        self.artifact.write_bytes(f"trace/{part}", rows_to_parquet(self.traces, TraceRow))
        self.artifact.write_bytes(f"metrics/{part}", rows_to_parquet(self.metrics, MetricRow))
        self.start_step, self.traces, self.metrics = next_step, [], []


def write_tensorboard(artifact: Artifact, metrics: dict[int, dict[str, float]]) -> None:
    """All metrics of a run as one event file, replacing the one of the last checkpoint."""
    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            for step, values in metrics.items():
                for name, value in values.items():
                    writer.add_scalar(f"{_section(name)}/{name}", value, step)
        (events,) = Path(folder).iterdir()
        artifact.upload(events, "tensorboard/events.out.tfevents.assay")


def _section(name: str) -> str:
    """TensorBoard groups plots by the part before the slash."""
    if name.endswith("_s"):
        return "seconds"
    return "tokens" if "tokens" in name else "train"
