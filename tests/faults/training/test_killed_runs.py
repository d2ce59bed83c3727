"""A run killed at any write to its store, and resumed, ends with the bytes of a run that was left alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import pytest

from assay.contracts.records import PromptRow, TraceRow, Verdict
from assay.contracts.task import TaskSpec
from assay.contracts.training import GuardMetric, TrainSpec
from assay.curriculum.estimate import PassRate
from assay.curriculum.schedule import make_schedule
from assay.sampling.torch_engine import TorchSampler
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.storage.tables import rows_from_parquet
from assay.training.loop import GRPOTrainer, RunIdentity, TrainResult
from assay.training.policy import Policy
from assay.training.record import MetricRow
from assay.training.rollout import RolloutCollector

STEPS = 6
TASK = TaskSpec.model_validate(
    {
        "name": "toy",
        "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
        "prompt": "{question}",
        "stop": [";"],
        "max_completion_tokens": 6,
    }
)
SPEC = TrainSpec.model_validate(
    {
        "steps": STEPS,
        "prompts_per_step": 4,
        "samples_per_prompt": 4,
        "checkpoint_every_steps": 2,
        "validate_every_steps": 2,
        "prompts": {"allocation": "adaptive"},
        "kl": {"coefficient": 0.02},
        "optimizer": {"learning_rate": 3e-3, "warmup_steps": 3},
        "guards": {
            "kl": {"metric": "kl", "warn": 1e-6, "stop": 100.0},
            "truncation": {
                "metric": "truncated_share",
                "warn": 1.5,
                "stop": 2.0,
            },  # a random model never stops by itself
        },
    }
)


class Killed(BaseException):
    """Stands for SIGKILL: nothing catches it."""


class LetterPool:
    """A verifier that anybody can recompute: right if the text holds more letters before `n` than after."""

    def score(self, _: str, pairs: Sequence[tuple[str, str]], **__: Any) -> list[Verdict]:
        return [self._verdict(text) for text, _ in pairs]

    def _verdict(self, text: str) -> Verdict:
        right = 2 * sum(letter < "n" for letter in text) > len(text)
        return Verdict("correct" if right else "wrong", float(right))


@dataclass
class MortalStore(FileStore):
    """A folder whose n-th write or delete, and nothing after it, ever happens."""

    root: Path
    dies_at: int | None = None
    changes: int = field(default=0)

    def _change(self) -> None:
        if self.changes == self.dies_at:
            raise Killed
        self.changes += 1

    def write_bytes(self, path: str, data: bytes) -> None:
        self._change()
        super().write_bytes(path, data)

    def upload(self, local: Path, path: str) -> None:
        self._change()
        super().upload(local, path)

    def delete(self, path: str) -> None:
        self._change()
        super().delete(path)


def prompts(split: str, count: int) -> list[PromptRow]:
    return [
        PromptRow(f"toy/{split}{i}", "toy", split, f"q{i}", "1", "all", f"q{i}", [i, 0, 7 * i % 90][: 1 + i % 3])
        for i in range(1, count + 1)
    ]


@pytest.fixture
def run(make_model: Any, byte_tokenizer: Any) -> Any:
    def start(store: FileStore) -> TrainResult:
        model = make_model(spread=0.3, num_hidden_layers=1)
        rates = {prompt.id: PassRate(prompt.id, "toy", "all", 8, 3, 0, 0) for prompt in prompts("train", 9)}
        collector = RolloutCollector(
            TorchSampler(model, byte_tokenizer, 64),
            LetterPool(),
            {"toy": TASK},
            SPEC,
            seed=11,  # type: ignore[arg-type]
        )
        trainer = GRPOTrainer(
            RunIdentity("arm", 11),
            SPEC,
            Policy(model, SPEC.optimizer, SPEC.temperature, 200),
            collector,
            make_schedule(prompts("train", 9), rates, SPEC, seed=11),
            prompts("validation", 3),
            Artifact(store, "train", "0" * 20),
        )
        return trainer.run(lambda *_: None)

    return start


def left_behind(root: Path) -> dict[str, Any]:
    """Everything a run leaves, without wall-clock times and without moments that no state names any more."""
    artifact = Artifact(open_store(str(root)), "train", "0" * 20)
    needed = json.loads(artifact.read_bytes("scratch/resume/state.json"))["moments"][0]
    found: dict[str, Any] = {}
    for info in artifact.list():
        if info.path.startswith("scratch/resume/step-") and info.path != needed:
            continue
        data = artifact.read_bytes(info.path)
        if info.path.startswith("trace/"):
            found[info.path] = rows_from_parquet(data, TraceRow)
        elif info.path.startswith("metrics/"):
            rows = rows_from_parquet(data, MetricRow)
            found[info.path] = [row for row in rows if not row.name.endswith("_s")]
        elif info.path.endswith("state.json"):
            found[info.path] = json.loads(data)
            found[info.path]["state"].pop("seconds")
        elif not info.path.startswith("tensorboard/"):
            found[info.path] = data
    return found


def outcome(result: TrainResult) -> Any:
    metrics = {
        step: {name: value for name, value in row.items() if not name.endswith("_s")}
        for step, row in result.metrics.items()
    }
    return result.steps_done, result.stopped, result.validation, result.findings, metrics


@pytest.mark.slow
def test_a_run_killed_at_any_write_resumes_to_the_same_bytes(run: Any, tmp_path: Path) -> None:
    """Weights, moments, traces, metrics, validation, findings and schedule; F18."""
    whole = MortalStore(tmp_path / "whole")
    expected = run(whole)
    assert expected.steps_done == STEPS
    assert len(expected.findings) == 1
    assert whole.changes > 15
    files = left_behind(tmp_path / "whole")
    for dies_at in range(whole.changes):
        root = tmp_path / f"killed-{dies_at}"
        with pytest.raises(Killed):
            run(MortalStore(root, dies_at))
        found = run(FileStore(root))
        assert found.resumed_from_step in (0, 2, 4, 6)
        assert outcome(found) == outcome(expected), dies_at
        assert left_behind(root) == files, dies_at


def test_the_run_that_is_killed_is_one_that_moves(run: Any, tmp_path: Path) -> None:
    """Equal bytes would prove little of a run whose groups never differ; step 0 is exactly the reference (F09, F25)."""
    result = run(FileStore(tmp_path))
    assert all(row["updates"] == 1 and row["grad_norm"] > 0 for row in result.metrics.values())
    assert result.metrics[0]["kl"] == 0
    assert result.metrics[0]["logprob_gap_mean"] < 1e-5
    assert result.metrics[STEPS - 1]["kl"] > 1e-4
    assert any(row["mixed_group_share"] > 0 for row in result.metrics.values())


def test_every_step_logs_what_a_guard_may_name(run: Any, tmp_path: Path) -> None:
    for row in run(FileStore(tmp_path)).metrics.values():
        seldom = {"validation_accuracy", "validation_fall_se"}
        assert set(row) | seldom == set(get_args(GuardMetric))


def test_a_resumed_run_counts_the_time_of_the_attempts_before_it(run: Any, tmp_path: Path) -> None:
    """Else every preemption would make a run look cheaper than it was."""
    first = run(FileStore(tmp_path))
    assert first.seconds > 0
    assert (
        run(FileStore(tmp_path)).seconds
        >= json.loads(Artifact(FileStore(tmp_path), "train", "0" * 20).read_bytes("scratch/resume/state.json"))[
            "state"
        ]["seconds"]
    )


def test_a_finished_run_started_again_does_nothing(run: Any, tmp_path: Path) -> None:
    first = run(FileStore(tmp_path))
    files = left_behind(tmp_path)
    again = MortalStore(tmp_path)
    second = run(again)
    assert again.changes == 0
    assert second.resumed_from_step == STEPS
    assert outcome(second) == outcome(first)
    assert left_behind(tmp_path) == files
