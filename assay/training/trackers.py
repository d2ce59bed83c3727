"""Weights & Biases and MLflow, told of every step while training goes on.

Each has a thread of its own: a tracker that is slow, hangs or fails costs training nothing. What it fails at is
counted, and a finding says so. A resumed run goes on under the same name and tells the steps of the attempts before it
again, since one that was killed may have had some in its queue: what is told twice is told the same.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

from assay.contracts.manifest import Finding
from assay.contracts.tracker import MlflowTracker, Tracker, WandbTracker
from assay.training.background import Background

MOST_WAITING = 1000
"""Steps that a tracker may lie behind; what comes then is not told, and counts as failed."""
END_S = 30.0
"""How long a finished run waits for the trackers."""
LEAVE_S = 5.0
"""How long one that is ended or has failed does: of kubelet's 30 s a checkpoint has taken its share."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a tracker is told of a run before its metrics."""

    key: str
    """Of the artifact: the same in every attempt."""
    arm: str
    seed: int
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        return f"{self.arm}/seed{self.seed}"


class Client(Protocol):
    """A tracker that is connected."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None: ...

    def close(self, finished: bool) -> None: ...


class WandbClient:
    """A run of Weights & Biases, named after the artifact."""

    def __init__(self, spec: WandbTracker, told: Told) -> None:
        import wandb

        self.run = wandb.init(
            project=spec.project,
            entity=spec.entity or None,
            mode=spec.mode,
            dir=spec.folder or tempfile.mkdtemp(prefix="assay-wandb-"),
            id=told.key,
            resume="allow",
            name=told.name,
            group=told.arm,
            config=told.settings,
            settings=wandb.Settings(console="off", silent=True),
        )
        self.run.define_metric("*", step_metric="step")

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.run.log({"step": step, **metrics})

    def close(self, finished: bool) -> None:
        self.run.finish(exit_code=0 if finished else 1)


class MlflowClient:
    """A run of MLflow, found again by its tag."""

    def __init__(self, spec: MlflowTracker, told: Told) -> None:
        from mlflow.tracking import MlflowClient as Server

        self.server = Server(tracking_uri=spec.uri)
        found = self.server.get_experiment_by_name(spec.experiment)
        experiment = found.experiment_id if found else self.server.create_experiment(spec.experiment)
        same = self.server.search_runs([experiment], f"tags.assay_key = '{told.key}'", max_results=1)
        run = same[0] if same else self._begin(experiment, told)
        self.run_id = run.info.run_id
        self.server.update_run(self.run_id, status="RUNNING")

    def _begin(self, experiment: str, told: Told) -> Any:
        tags = {"assay_key": told.key, "arm": told.arm, "seed": str(told.seed)}
        run = self.server.create_run(experiment, run_name=told.name, tags=tags)
        self.server.log_dict(run.info.run_id, told.settings, "settings.json")
        return run

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now_ms = int(time.time() * 1000)
        self.server.log_batch(self.run_id, [Metric(name, value, now_ms, step) for name, value in metrics.items()])

    def close(self, finished: bool) -> None:
        self.server.set_terminated(self.run_id, "FINISHED" if finished else "KILLED")


def connect(spec: Tracker, told: Told) -> Client:
    """Imported here, so that only who asks for a tracker needs its package."""
    return WandbClient(spec, told) if isinstance(spec, WandbTracker) else MlflowClient(spec, told)


class Trackers:
    """All trackers of a run. However the block ends, they are told first what is in their queues."""

    def __init__(self, specs: Sequence[Tracker], told: Told, end_s: float = END_S) -> None:
        self.feeds = [_Feed(spec, told) for spec in specs]
        self.end_s = end_s

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        finished = kind is None
        for feed in self.feeds:
            feed.hand_on(lambda client: client.close(finished))
        deadline = time.monotonic() + (self.end_s if finished else min(self.end_s, LEAVE_S))
        for feed in self.feeds:
            feed.thread.close(max(0.0, deadline - time.monotonic()))

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Hand the metrics of a step on; they arrive when they arrive."""
        self.log_all({step: metrics})

    def log_all(self, metrics: Mapping[int, Mapping[str, float]]) -> None:
        """The same of several steps, as one thing to tell."""
        for feed in self.feeds:
            feed.hand_on(lambda client: _log_all(client, metrics))

    def failures(self) -> dict[str, int]:
        """Tracker -> what could not be told, where there was any."""
        return {feed.kind: count for feed in self.feeds if (count := feed.failures()[0])}

    def findings(self, where: str) -> list[Finding]:
        """A warning for each tracker that failed."""
        return [_finding(feed, where) for feed in self.feeds if feed.failures()[0]]


def _log_all(client: Client, metrics: Mapping[int, Mapping[str, float]]) -> None:
    for step, values in metrics.items():
        client.log(step, values)


class _Feed:
    """One tracker and the thread that talks to it."""

    def __init__(self, spec: Tracker, told: Told) -> None:
        self.kind = spec.kind
        self.thread = Background(f"tracker {spec.kind}")
        self.sent: list[Future[None]] = []
        self.dropped = 0
        self.client: Future[Client] = self.thread.submit(lambda: connect(spec, told))

    def hand_on(self, tell: Callable[[Client], None]) -> None:
        if sum(not future.done() for future in self.sent[-MOST_WAITING:]) >= MOST_WAITING:
            self.dropped += 1
        else:
            self.sent.append(self.thread.submit(lambda: tell(self.client.result())))

    def failures(self) -> tuple[int, str]:
        """How many things were not told, and what the first died of."""
        errors = [future.exception() for future in self.sent if future.done()]
        died = [error for error in errors if error is not None]
        late = sum(not future.done() for future in self.sent) + self.dropped
        return len(died) + late, f"{type(died[0]).__name__}: {died[0]}" if died else "it does not answer"


def _finding(feed: _Feed, where: str) -> Finding:
    count, first = feed.failures()
    message = (
        f"{feed.kind} was not told of {count} of {len(feed.sent) + feed.dropped} things, first: {first[:200]}. "
        "Training is not affected: its metrics are in the artifact, under metrics/ and tensorboard/"
    )
    return Finding(id=f"tracker/{feed.kind}", severity="warning", where=where, message=message)
