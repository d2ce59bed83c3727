"""Stage specs: all that decides a stage's result, and nothing else.

A stage's content key = sha256(stage name, stage version, identity fields, numeric environment, keys of its inputs).
Inputs are `stage/key` references, so their keys are among the fields. Where and how a stage runs is `Runtime`: not
identity.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from assay.contracts.ablation import AblationSpec, CurriculumSpec, EvaluationSpec, ModelSpec, TaskUse
from assay.contracts.base import NOT_IDENTITY, Frozen
from assay.contracts.launch import Inline, Launch
from assay.contracts.sampling import VllmSettings
from assay.contracts.scale import Scale
from assay.contracts.task import TaskSpec
from assay.contracts.tracker import Tracker
from assay.contracts.training import TrainSpec

ArtifactRef = Annotated[str, Field(pattern=r"^[a-z_]+/[0-9a-f]{20}$")]
"""`stage/key` of a committed artifact."""

Label = Annotated[str, NOT_IDENTITY]
"""`ARM/seedN`, for people; not identity, so equal work under two names is done once."""


class Runtime(Frozen):
    """Where and how stages run; a cluster profile sets it. Never part of a content key."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where models run; `auto` takes an accelerator when there is one."""
    lanes: int = Field(0, ge=0)
    """Independent runs side by side on one machine; 0: one per core up to 4 on CPU, one with an accelerator."""
    threads: int = Field(0, ge=0)
    """CPU threads of each; 0: the cores, shared out over the lanes."""
    sampler: Literal["auto", "torch", "vllm"] = "auto"
    """Who writes completions; `auto`: vLLM where it is installed and the device is an accelerator, else torch."""
    vllm: VllmSettings = VllmSettings()
    """How vLLM is run, where it is the sampler."""
    max_batch_sequences: int = Field(512, ge=1)
    """Sequences written side by side."""
    verifier_workers: int = Field(1, ge=1)
    """Processes for computer algebra."""
    launch: Launch = Inline()
    """How training processes are started; the cluster profile fills it in."""
    scale: Scale = Scale()
    """How training is spread over memory and processes."""
    trackers: tuple[Tracker, ...] = ()
    """Experiment trackers that are told of every training step, beside TensorBoard; logged in by the environment."""


class PrepareStage(Frozen):
    """Load, canonicalise, render, split, count drops; preflight."""

    stage: Literal["prepare"] = "prepare"
    VERSION: ClassVar[int] = 2
    model: ModelSpec
    tasks: tuple[TaskUse, ...]
    data_digests: dict[str, str]
    seed: int
    temperature: float
    max_dropped_share: float
    acknowledge: tuple[str, ...]


class CurriculumStage(Frozen):
    """Sample and verify every training prompt with the base model."""

    stage: Literal["curriculum"] = "curriculum"
    VERSION: ClassVar[int] = 2
    prepare: ArtifactRef
    model: ModelSpec
    tasks: tuple[TaskSpec, ...]
    curriculum: CurriculumSpec
    verifier_versions: dict[str, int]
    """Verifier -> version: other verdicts are other pass rates."""
    seed: int


class TrainStage(Frozen):
    """GRPO for one arm and one seed."""

    stage: Literal["train"] = "train"
    VERSION: ClassVar[int] = 4
    prepare: ArtifactRef
    curriculum: ArtifactRef | None
    model: ModelSpec
    tasks: tuple[TaskSpec, ...]
    train: TrainSpec
    verifier_versions: dict[str, int]
    """Verifier -> version: other verdicts are other rewards."""
    seed: int
    label: Label


class ExportStage(Frozen):
    """Hugging Face checkpoints of one run, re-read and compared."""

    stage: Literal["export"] = "export"
    VERSION: ClassVar[int] = 1
    train: ArtifactRef
    model: ModelSpec
    checkpoints: int
    label: Label


class EvaluateStage(Frozen):
    """lm_eval over the base model (`export` is None) or over the exported checkpoints of one run."""

    stage: Literal["evaluate"] = "evaluate"
    VERSION: ClassVar[int] = 3
    prepare: ArtifactRef
    export: ArtifactRef | None
    model: ModelSpec
    tasks: tuple[TaskSpec, ...]
    evaluation: EvaluationSpec
    seed: int
    label: Label


class RescoreStage(Frozen):
    """Assay's verdicts on the logged samples."""

    stage: Literal["rescore"] = "rescore"
    VERSION: ClassVar[int] = 3
    prepare: ArtifactRef
    evaluate: ArtifactRef
    tasks: tuple[TaskSpec, ...]
    verifier_versions: dict[str, int]
    """Verifier -> version, of the tasks' verifiers and their views."""
    acknowledge: tuple[str, ...]
    label: Label


class RunRef(Frozen):
    """The artifacts of one training run."""

    arm: str
    seed: int
    train: ArtifactRef
    export: ArtifactRef
    evaluate: ArtifactRef
    rescore: ArtifactRef


class ReportStage(Frozen):
    """One report over everything."""

    stage: Literal["report"] = "report"
    VERSION: ClassVar[int] = 4
    ablation: AblationSpec
    prepare: ArtifactRef
    curriculum: ArtifactRef
    base_evaluate: ArtifactRef
    base_rescore: ArtifactRef
    runs: tuple[RunRef, ...]
    declared: Annotated[str, NOT_IDENTITY]


StageSpec = PrepareStage | CurriculumStage | TrainStage | ExportStage | EvaluateStage | RescoreStage | ReportStage
