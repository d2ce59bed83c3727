"""A small ablation as files: YAML, a task beside it, and a directory that looks like a model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.contracts.ablation import AblationSpec, ResolvedAblation
from assay.plan.expand import Plan, expand
from assay.plan.load import load_ablation

ENVIRONMENT = {"torch": "2.0"}
Edit = Callable[[dict[str, Any]], None]


def task_content() -> dict[str, Any]:
    return {
        "name": "sums",
        "source": {"kind": "arithmetic", "levels": {"easy": [2, 1]}},
        "prompt": "Question: {question}\nAnswer:",
        "stop": ["\nQuestion:"],
        "max_completion_tokens": 16,
    }


def content() -> dict[str, Any]:
    return {
        "name": "small",
        "seeds": [0, 1],
        "model": {"path": "model", "kind": "base"},
        "tasks": [{"use": "sums.yaml", "train": 20, "validation": 4, "heldout": 8}],
        "train": {"steps": 4, "prompts_per_step": 4, "optimizer": {"learning_rate": 1e-4}},
        "arms": {
            "plain": {},
            "curriculum": {"prompts": {"order": "easy_to_hard"}},
            "hot": {"optimizer": {"learning_rate": 1e-3}},
        },
    }


def nothing(_: dict[str, Any]) -> None:
    """Leaves the content as it is."""


@pytest.fixture
def ablation_file(tmp_path: Path) -> Callable[..., Path]:
    """Writes the files; `edit` changes the ablation and `edit_task` the task first."""

    def write(edit: Edit = nothing, edit_task: Edit = nothing, where: str = "here") -> Path:
        folder = tmp_path / where
        (folder / "model").mkdir(parents=True, exist_ok=True)
        (folder / "model" / "config.json").write_text("{}")
        (folder / "model" / "model.safetensors").write_bytes(b"weights")
        ablation, task = content(), task_content()
        edit(ablation)
        edit_task(task)
        (folder / "sums.yaml").write_text(yaml.safe_dump(task))
        (folder / "ablation.yaml").write_text(yaml.safe_dump(ablation, sort_keys=False))
        return folder / "ablation.yaml"

    return write


@pytest.fixture
def load(ablation_file: Callable[..., Path]) -> Callable[..., AblationSpec]:
    def load(edit: Edit = nothing, edit_task: Edit = nothing, overrides: tuple[str, ...] = ()) -> AblationSpec:
        return load_ablation(ablation_file(edit, edit_task), overrides)

    return load


def resolved(spec: AblationSpec, environment: dict[str, str] = ENVIRONMENT) -> ResolvedAblation:
    """Pinned to fixed digests, so that plans compare by their settings."""
    model = spec.model.model_copy(update={"digest": "m" * 64})
    return ResolvedAblation(
        spec=spec.model_copy(update={"model": model}), data_digests={"sums": "d" * 64}, environment=environment
    )


@pytest.fixture
def plan(load: Callable[..., AblationSpec]) -> Callable[..., Plan]:
    def make(edit: Edit = nothing, edit_task: Edit = nothing, environment: dict[str, str] = ENVIRONMENT) -> Plan:
        return expand(resolved(load(edit, edit_task), environment))

    return make
