"""The ablation file: model, tasks, arms, seeds, and how to train, evaluate and guard.

What a person writes is short; `assay.plan` fills in every default, and the resolved form travels with every artifact
(F28).
Each field carries its unit, its range and one line of why.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from assay.contracts.base import NOT_IDENTITY, Frozen
from assay.contracts.task import TaskSpec
from assay.contracts.training import TrainSpec


class ModelSpec(Frozen):
    """The model every arm starts from."""

    path: Annotated[str, NOT_IDENTITY]
    """A Hugging Face model directory (relative to the YAML that names it) or a hub id."""
    kind: Literal["base", "instruct"]
    """`base`: prompts are sent as text. `instruct`: tasks of style `chat` go through the chat template (F02)."""
    revision: str = "main"
    """Hub commit, tag or branch; ignored for a directory."""
    digest: str = ""
    """Filled in by the plan: sha256 over the directory's files, or over hub id and revision."""


class TaskUse(Frozen):
    """A task and how many of its problems each split takes."""

    task: TaskSpec
    """Where its problems come from, what the model is shown and who judges its answers; `use:` names a file of it."""
    train: int = Field(ge=1)
    """Problems GRPO trains on."""
    validation: int = Field(64, ge=1)
    """Problems scored during training; they choose the checkpoint and are never reported (F20)."""
    heldout: int = Field(256, ge=2)
    """Problems the report is about; no training or choice ever sees them. A paired comparison needs two."""


class CurriculumSpec(Frozen):
    """Where the base model's pass rates come from: sampled here, or measured earlier and read from a file."""

    file: Annotated[str | None, NOT_IDENTITY] = None
    """JSON lines `{"id", "n", "c"}` of an earlier estimate, used instead of sampling; absent: sample."""
    file_digest: str = ""
    """Filled in by the plan: sha256 of the file."""
    samples_per_prompt: int = Field(8, ge=1)
    """n of the unbiased pass@k estimate (F27)."""
    temperature: float = Field(1.0, gt=0, le=2)
    """Use the training temperature, else the pass rates are of another policy."""
    shard_prompts: int = Field(64, ge=1)
    """Prompts per shard; a killed run repeats at most one shard."""


class EvaluationSpec(Frozen):
    """What is measured on the held-out problems."""

    checkpoints: int = Field(3, ge=2)
    """Checkpoints of each run that are exported and evaluated: the last, the best by validation, then evenly spaced."""
    samples_per_prompt: int = Field(8, ge=1)
    """Samples for pass@1 and pass@k; greedy decoding is always evaluated as well."""
    temperature: float = Field(1.0, gt=0, le=2)
    """Use the training temperature unless you mean to measure something else."""
    tensor_parallel: Literal[1] = 1
    """Fixed and recorded: other values changed scores by 18 points in a real run (F13)."""
    acknowledge: tuple[str, ...] = ()
    """Findings accepted as intended, by id, for instance `F03/acceptance`."""


ARM_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9 _.-]{0,47}$")


class AblationSpec(Frozen):
    """A whole ablation. `arms` maps a name to the `train` settings it changes."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")
    """Names the run's folder and its report."""
    description: str = ""
    """A sentence or more for the report's head."""
    seed: int = Field(0, ge=0)
    """Root of the seed tree for data and evaluation."""
    seeds: tuple[int, ...] = Field((0,), min_length=1)
    """Training seeds; each arm runs once per seed. Two or more let the report tell arms from luck (F29)."""
    model: ModelSpec
    """The model every arm starts from."""
    tasks: tuple[TaskUse, ...] = Field(min_length=1)
    """What is trained on and measured."""
    curriculum: CurriculumSpec = CurriculumSpec()
    """How the base model's pass rates are found, for arms that need them."""
    train: TrainSpec
    """Training settings that all arms share."""
    arms: dict[str, dict[str, Any]] = Field(min_length=1)
    """Name of the arm -> the `train` settings it changes; `{}` changes none."""
    evaluation: EvaluationSpec = EvaluationSpec()
    """What is measured on the held-out problems."""
    max_dropped_share: float = Field(0.05, ge=0, le=1)
    """Preparation fails when more than this share of prompts is dropped for length (F17)."""

    @field_validator("arms")
    @classmethod
    def _named(cls, arms: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name in arms:
            if not ARM_NAME.match(name) or name.lower() == "base":
                raise ValueError(
                    f"arm name {name!r}: use letters, digits, spaces, `_ . -`, at most 48; `base` is taken"
                )
        return arms

    @field_validator("seeds")
    @classmethod
    def _distinct(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) != len(seeds):
            raise ValueError(f"{list(seeds)} repeats a seed; a repeated seed is the same run twice")
        return seeds

    @model_validator(mode="after")
    def _tasks_differ(self) -> AblationSpec:
        names = [use.task.name for use in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError(f"tasks {names} repeat a name; ids and metrics are named after the task")
        return self


class ResolvedAblation(Frozen):
    """An ablation with all that decides its results pinned down: `plan` expands it, every container is given it."""

    spec: AblationSpec
    data_digests: dict[str, str]
    """Task name -> digest of the data files it reads, or of hub id and revision."""
    environment: dict[str, str]
    """Versions of the packages that decide numbers."""
    declared: str = ""
    """The ablation file as the person wrote it, and the overrides given with it; shown beside what ran (F28)."""
