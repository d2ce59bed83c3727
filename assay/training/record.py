"""What a run leaves for people and for the report: trace rows, metric rows, TensorBoard events.

    trace/000000-000010.parquet                 one row per completion, steps 0 … 9
    metrics/000000-000010.parquet               one row per step and metric
    trace/rollback-001/000004-000007.parquet    rows of steps that the first rollback threw away, marked with its number
    tensorboard/                                the metrics that count, for the usual tool

    scratch/stopped/step-000004.parquet         rows that an invariant did not hold on, where one stopped the run

Parts are cut at checkpoints, so a resumed run writes the very parts that the killed one would have written.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Any

from torch.utils.tensorboard import SummaryWriter

from assay.contracts.errors import InvariantError
from assay.contracts.records import TraceRow
from assay.storage.artifacts import SCRATCH, Artifact
from assay.storage.tables import rows_from_parquet, rows_to_parquet
from assay.training.credit import Credit, StepBatch, TokenValues
from assay.training.history import MetricRow, live_parts, steps_of
from assay.training.rollout import Rollout

BOARD_EVERY_S = 30.0
"""TensorBoard's file is written as a whole: seldom enough to cost nothing, often enough to watch."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Who a trace row belongs to. `run` is the training's content key."""

    run: str
    arm: str
    seed: int

    @property
    def label(self) -> str:
        return f"{self.arm}/seed{self.seed}"


class Recorder:
    """Collects rows between checkpoints and writes them as one part."""

    def __init__(self, artifact: Artifact, start_step: int, rows: Mapping[str, Any] | None = None) -> None:
        """`rows`: those that a run which was ended between two checkpoints had collected."""
        rows = rows or {"start": start_step, "traces": [], "metrics": []}
        self.artifact = artifact
        self.start_step = int(rows["start"])
        self.traces = [TraceRow(**row) for row in rows["traces"]]
        self.metrics = [MetricRow(**row) for row in rows["metrics"]]

    def add(self, step: int, metrics: Mapping[str, float], traces: Sequence[TraceRow]) -> None:
        """Rows of one step."""
        self.metrics += [MetricRow(step, name, value) for name, value in metrics.items()]
        self.traces += traces

    def rows(self) -> dict[str, Any]:
        """What is not yet written, as JSON."""
        collected = {"traces": [asdict(row) for row in self.traces], "metrics": [asdict(row) for row in self.metrics]}
        return {"start": self.start_step, **collected}

    def flush(self, next_step: int) -> None:
        """Write everything since the last flush as the part [start, next_step)."""
        self._write("", self.start_step, next_step, self.traces, self.metrics)
        self.start_step, self.traces, self.metrics = next_step, [], []

    def throw_away(self, to_step: int, next_step: int, rollback: int) -> None:
        """Write everything from `to_step` on, marked, beside the parts that count; those are left to `forget_after`."""
        traces, metrics = (self._since(to_step, folder, kind) for folder, kind in _FOLDERS.items())
        marked = [
            [replace(row, rollback=rollback) for row in rows] for rows in (traces + self.traces, metrics + self.metrics)
        ]
        self._write(f"{rollback_folder(rollback)}/", to_step, next_step, *marked)

    def _since(self, step: int, folder: str, kind: type[Any]) -> list[Any]:
        parts = [part for part in live_parts(self.artifact, folder) if steps_of(part)[0] >= step]
        return [row for part in parts for row in rows_from_parquet(self.artifact.read_bytes(part), kind)]

    def _write(
        self, folder: str, start: int, end: int, traces: Sequence[TraceRow], metrics: Sequence[MetricRow]
    ) -> None:
        part = f"{folder}{start:06d}-{end:06d}.parquet"
        self.artifact.write_bytes(f"trace/{part}", rows_to_parquet(traces, TraceRow))
        self.artifact.write_bytes(f"metrics/{part}", rows_to_parquet(metrics, MetricRow))


_FOLDERS: dict[str, type[Any]] = {"trace": TraceRow, "metrics": MetricRow}


def rollback_folder(number: int) -> str:
    """Where the rows lie that a rollback threw away; the first is number 1."""
    return f"rollback-{number:03d}"


def forget_after(artifact: Artifact, step: int, rollbacks: int) -> None:
    """Delete parts of steps that will be made anew, and rows thrown away by a rollback that a kill undid."""
    for folder in _FOLDERS:
        stale = [part for part in live_parts(artifact, folder) if steps_of(part)[1] > step]
        undone = [info.path for info in artifact.list(folder) if _rollback_of(info.path) > rollbacks]
        for path in stale + undone:
            artifact.store.delete(artifact.path(path))


def _rollback_of(path: str) -> int:
    folder = path.split("/")[1]
    return int(folder.removeprefix("rollback-")) if folder.startswith("rollback-") else 0


def trace_rows(
    identity: RunIdentity, step: int, batch: StepBatch, credit: Credit, staleness_steps: int
) -> list[TraceRow]:
    """The rows of the completions that a step learns from."""
    columns = zip(batch.rollouts, batch.old, credit.advantages, strict=True)
    return [
        _trace(identity, step, rollout, sum(old), fmean(advantages), staleness_steps)
        for rollout, old, advantages in columns
    ]


def unused_rows(identity: RunIdentity, step: int, rollouts: Sequence[Rollout], staleness_steps: int) -> list[TraceRow]:
    """The rows of completions whose groups were replaced: the trainer has no log-probs of them."""
    unused = [rollout for rollout in rollouts if not rollout.used]
    return [_trace(identity, step, rollout, math.nan, 0.0, staleness_steps) for rollout in unused]


@contextmanager
def evidence(
    artifact: Artifact,
    identity: RunIdentity,
    step: int,
    rollouts: Sequence[Rollout],
    trainer: TokenValues,
    staleness_steps: int,
) -> Iterator[None]:
    """What is checked in the block is checked on these: the error of an invariant names the file that holds their rows.

    `trainer`: their log-probs under it. They have no advantage, NaN: the run ends before it learns from them.
    """
    try:
        yield
    except InvariantError as error:
        columns = zip(rollouts, trainer, strict=True)
        rows = [_trace(identity, step, rollout, sum(own), math.nan, staleness_steps) for rollout, own in columns]
        path = f"{SCRATCH}/stopped/step-{step:06d}.parquet"
        artifact.write_bytes(path, rows_to_parquet(rows, TraceRow))
        raise InvariantError(f"{error}. Its completions are in {artifact.uri}/{path}") from error


def _trace(
    identity: RunIdentity, step: int, rollout: Rollout, logprob_sum: float, advantage: float, staleness_steps: int
) -> TraceRow:
    return TraceRow(
        **asdict(identity),
        step=step,
        problem_id=rollout.prompt.id,
        task=rollout.prompt.task,
        level=rollout.prompt.level,
        sample_index=rollout.sample_index,
        request_seed=rollout.request_seed,
        text=rollout.completion.text,
        finish_reason=rollout.completion.finish_reason,
        completion_tokens=len(rollout.completion.tokens),
        logprob_sum_trainer=logprob_sum,
        logprob_sum_sampler=sum(rollout.completion.logprobs),
        status=rollout.verdict.status,
        extracted=rollout.verdict.extracted,
        reward=rollout.reward,
        reward_parts=rollout.parts,
        advantage=advantage,
        staleness_steps=staleness_steps,
        verdicts=rollout.verdicts,
        used=rollout.used,
    )


class TensorBoard:
    """One event file, which grows here and is uploaded at checkpoints and now and then between them."""

    def __init__(self, artifact: Artifact, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """`metrics`: of the steps before this attempt."""
        self.artifact = artifact
        self.folder = tempfile.TemporaryDirectory(prefix="assay-tensorboard-")
        self.writer = SummaryWriter(self.folder.name)
        self.uploaded_at_s = time.monotonic()
        for step, values in metrics.items():
            self._add(step, values)

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """One step."""
        self._add(step, metrics)
        if time.monotonic() - self.uploaded_at_s >= BOARD_EVERY_S:
            self.upload()

    def upload(self) -> None:
        """Replace the file in the artifact."""
        self.writer.flush()
        (events,) = Path(self.folder.name).iterdir()
        self.artifact.upload(events, "tensorboard/events.out.tfevents.assay")
        self.uploaded_at_s = time.monotonic()

    def close(self) -> None:
        self.writer.close()
        self.folder.cleanup()

    def _add(self, step: int, metrics: Mapping[str, float]) -> None:
        for name, value in metrics.items():
            self.writer.add_scalar(f"{_section(name)}/{name}", value, step)


def _section(name: str) -> str:
    """TensorBoard groups plots by the part before the slash."""
    if name.endswith("_s"):
        return "seconds"
    return "tokens" if "tokens" in name else "train"
