"""A tiny run that anybody can recompute, over a store that dies when it is told to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.records import PromptRow, TraceRow, Verdict
from assay.contracts.task import TaskSpec
from assay.contracts.training import TrainSpec
from assay.curriculum.estimate import PassRate
from assay.curriculum.schedule import make_schedule
from assay.sampling.agreement import score_with
from assay.sampling.torch_apart import ApartTorchSampler
from assay.sampling.torch_engine import TorchSampler
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.storage.tables import rows_from_parquet
from assay.training.critic import critic_for
from assay.training.history import MetricRow
from assay.training.loop import GRPOTrainer, TrainResult
from assay.training.policy import Policy
from assay.training.producer import Producer
from assay.training.record import RunIdentity
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
SETTINGS: dict[str, Any] = {
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


def trainer(make_model: Any, tokenizer: Any, store: FileStore, spec: TrainSpec) -> GRPOTrainer:
    """The trainer of a run that begins, or goes on, in this store."""
    model = make_model(spread=0.3, num_hidden_layers=1)
    policy = Policy(model, spec.optimizer, spec.temperature, 200)
    lag = spec.rollout.max_staleness_steps
    sampler = (ApartTorchSampler if lag else TorchSampler)(model, tokenizer, 64)
    rates = {prompt.id: PassRate(prompt.id, "toy", "all", 8, 3, 0, 0) for prompt in prompts("train", 9)}
    collector = RolloutCollector(sampler, LetterPool(), {"toy": TASK}, spec, seed=11)  # type: ignore[arg-type]
    schedule = make_schedule(prompts("train", 9), rates, spec, seed=11)
    score = score_with(model)
    producer = Producer(collector, sampler, schedule, policy.named_weights, score, spec.steps, lag, spec.prompts, 60)
    artifact = Artifact(store, "train", "0" * 20)
    critic = critic_for(spec, model)
    return GRPOTrainer(
        RunIdentity(artifact.key, "arm", 11), spec, policy, producer, prompts("validation", 3), artifact, critic
    )


def left_behind(root: Path) -> dict[str, Any]:
    """Everything a run leaves, without wall-clock times and without what only its newest state does not name."""
    artifact = Artifact(open_store(str(root)), "train", "0" * 20)
    needed = json.loads(artifact.read_bytes("scratch/resume/state.json"))["moments"][0]
    found: dict[str, Any] = {}
    for info in artifact.list():
        if info.path.startswith("scratch/resume/step-") and info.path != needed:
            continue
        data = artifact.read_bytes(info.path)
        if info.path.startswith("trace/"):
            found[info.path] = [str(row) for row in rows_from_parquet(data, TraceRow)]  # NaN is not equal to NaN
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


def resumes_to_the_same_bytes(run: Any, folder: Path, first: int = 0, every: int = 1, **settings: Any) -> TrainResult:
    """A run left alone, against runs killed at their write number `first`, `first + every`, … and resumed.

    What it was left alone with lies in `folder / "whole"`; returns how it ended.
    """
    whole = MortalStore(folder / "whole")
    expected: TrainResult = run(whole, **settings)
    files = left_behind(folder / "whole")
    for dies_at in range(first, whole.changes, every):
        root = folder / f"killed-{dies_at}"
        with pytest.raises(Killed):
            run(MortalStore(root, dies_at), **settings)
        assert outcome(run(FileStore(root), **settings)) == outcome(expected), dies_at
        assert left_behind(root) == files, dies_at
    return expected
