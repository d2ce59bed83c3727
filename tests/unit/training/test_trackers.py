"""Trackers hear of every step; one that fails, is missing or hangs costs training nothing and is told of."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.errors import Retryable
from assay.contracts.tracker import MlflowTracker, WandbTracker
from assay.training import trackers
from assay.training.trackers import MlflowClient, Told, Trackers

TOLD = Told("3f" * 10, "grpo", 1, {"steps": 3, "optimizer": {"learning_rate": 1e-6}})


def tell(feed: Trackers, steps: range = range(3)) -> None:
    with feed:
        for step in steps:
            feed.log(step, {"reward_mean": step / 10, "kl": float("nan") if step == 1 else 0.5})


def mlflow_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[MlflowTracker, Any]:
    """A tracker and what reads it: the store in files, which any mlflow brings; it has to be asked for since 3.17."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    spec = MlflowTracker(uri=str(folder / "mlruns"), experiment="sums")
    return spec, mlflow.tracking.MlflowClient(tracking_uri=spec.uri)


def test_mlflow_has_every_step_under_one_run_also_after_a_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, server = mlflow_in(tmp_path, monkeypatch)
    for steps in (range(3), range(3, 5)):
        feed = Trackers([spec], TOLD, end_s=120)
        tell(feed, steps)
        assert feed.findings("grpo/seed1") == []
    (run,) = server.search_runs([server.get_experiment_by_name("sums").experiment_id])
    assert (run.info.run_name, run.data.tags["arm"], run.info.status) == ("grpo/seed1", "grpo", "FINISHED")
    history = server.get_metric_history(run.info.run_id, "reward_mean")
    assert sorted((point.step, point.value) for point in history) == [(step, step / 10) for step in range(5)]


def test_an_mlflow_run_that_is_ended_is_killed_and_running_again_when_it_resumes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, server = mlflow_in(tmp_path, monkeypatch)
    client = MlflowClient(spec, TOLD)
    client.close(finished=False)
    assert server.get_run(client.run_id).info.status == "KILLED"
    assert server.get_run(MlflowClient(spec, TOLD).run_id).info.status == "RUNNING"


def test_wandb_writes_its_files_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_API_KEY", "")
    feed = Trackers([WandbTracker(mode="offline", folder=str(tmp_path), project="sums")], TOLD, end_s=120)
    tell(feed)
    assert feed.findings("grpo/seed1") == []
    (written,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    data = written.read_bytes()
    assert TOLD.key in written.name
    for word in (b"reward_mean", b"grpo/seed1", b"learning_rate"):
        assert word in data


class Broken:
    """A client whose server answers from time to time."""

    def __init__(self) -> None:
        self.seen: list[int] = []

    def log(self, step: int, _: Mapping[str, float]) -> None:
        if step % 2:
            raise ConnectionError("the server is away")
        self.seen.append(step)

    def close(self, finished: bool) -> None:
        self.seen.append(-1 if finished else -2)


def with_client(monkeypatch: pytest.MonkeyPatch, connect: Any) -> Trackers:
    monkeypatch.setattr(trackers, "connect", connect)
    return Trackers([WandbTracker()], TOLD, end_s=0.5)


def test_failures_are_counted_and_shown_and_the_rest_arrives(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Broken()
    feed = with_client(monkeypatch, lambda *_: client)
    tell(feed, range(5))
    assert client.seen == [0, 2, 4, -1]
    assert feed.failures() == {"wandb": 2}
    (finding,) = feed.findings("grpo/seed1")
    assert (finding.id, finding.severity) == ("tracker/wandb", "warning")
    assert "2 of 6 things, first: ConnectionError: the server is away" in finding.message


def test_a_run_that_is_ended_tells_what_is_in_the_queue_and_that_it_is_not_finished(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """SIGTERM, an error: the last steps must not be lost."""
    client, gate = Broken(), threading.Event()

    def connect(*_: Any) -> Broken:
        assert gate.wait(10)
        return client

    def leave(feed: Trackers) -> None:
        with feed:
            for step in (0, 2, 4):
                feed.log(step, {})
            gate.set()
            raise Retryable("ended by SIGTERM")

    with pytest.raises(Retryable):
        leave(with_client(monkeypatch, connect))
    assert client.seen == [0, 2, 4, -2]


def test_a_run_that_is_ended_does_not_wait_for_a_tracker_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.training.background.ABANDON_S", 0.1)
    monkeypatch.setattr(trackers, "LEAVE_S", 0.1)
    monkeypatch.setattr(trackers, "connect", lambda *_: gate.wait(30))
    gate, begun = threading.Event(), time.monotonic()
    with pytest.raises(Retryable), Trackers([WandbTracker()], TOLD, end_s=30):
        raise Retryable("ended by SIGTERM")
    assert time.monotonic() - begun < 5
    gate.set()


def test_the_steps_of_attempts_before_are_one_thing_to_tell_however_many(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Broken()
    feed = with_client(monkeypatch, lambda *_: client)
    monkeypatch.setattr(trackers, "MOST_WAITING", 3)
    with feed:
        feed.log_all({step: {} for step in range(0, 20, 2)})
        feed.log(20, {})
    assert client.seen == [*range(0, 21, 2), -1]
    assert feed.failures() == {}


def test_a_tracker_that_never_connects_fails_at_everything_and_nothing_else_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: Any) -> Any:
        raise ModuleNotFoundError("No module named 'wandb'")

    feed = with_client(monkeypatch, missing)
    tell(feed)
    assert feed.failures() == {"wandb": 4}
    assert "No module named 'wandb'" in feed.findings("a")[0].message


def test_a_tracker_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr("assay.training.background.ABANDON_S", 0.1)
    feed = with_client(monkeypatch, lambda *_: gate.wait(30))
    begun = time.monotonic()
    tell(feed)
    assert time.monotonic() - begun < 5
    assert feed.failures() == {"wandb": 4}
    assert "does not answer" in feed.findings("a")[0].message
    gate.set()


def test_a_password_in_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match="MLFLOW_TRACKING_PASSWORD"):
        MlflowTracker(uri="https://me:secret@mlflow.example.org")
    assert MlflowTracker(uri="https://mlflow.example.org").experiment == "assay"
