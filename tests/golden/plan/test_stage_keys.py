"""Keys of fixed specs, committed: whoever changes what a stage's key is made of must bump its VERSION.

After a deliberate change run `python -m tests.golden.plan.test_stage_keys` from the checkout and commit the file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from assay.contracts.ablation import AblationSpec, CurriculumSpec, EvaluationSpec, ModelSpec, TaskUse
from assay.contracts.stage import (
    CurriculumStage,
    EvaluateStage,
    ExportStage,
    PrepareStage,
    ReportStage,
    RescoreStage,
    RunRef,
    StageSpec,
    TrainStage,
)
from assay.contracts.task import TaskSpec
from assay.contracts.training import TrainSpec
from assay.plan.expand import content_key

GOLDEN = Path(__file__).parent / "stage_keys.json"
ENVIRONMENT = {"torch": "2.0"}
MODEL = ModelSpec(path="somewhere", kind="base", digest="m" * 64)
TASK = TaskSpec.model_validate(
    {
        "name": "sums",
        "source": {"kind": "arithmetic", "levels": {"easy": [2, 1]}},
        "prompt": "Question: {question}\nAnswer:",
        "max_completion_tokens": 16,
    }
)
USE = TaskUse(task=TASK, train=20)
ABLATION = AblationSpec(name="small", model=MODEL, tasks=(USE,), train=TrainSpec(steps=4), arms={"plain": {}})


def ref(stage: str) -> str:
    return f"{stage}/{'0' * 20}"


def fixed_specs() -> dict[str, StageSpec]:
    """One spec a stage, with every default as it stands in the contracts."""
    run = {stage: ref(stage) for stage in ("train", "export", "evaluate", "rescore")}
    specs: list[StageSpec] = [
        PrepareStage(
            model=MODEL,
            tasks=(USE,),
            data_digests={"sums": "d" * 64},
            seed=0,
            temperature=1.0,
            max_dropped_share=0.05,
            acknowledge=(),
        ),
        CurriculumStage(
            prepare=ref("prepare"),
            model=MODEL,
            tasks=(TASK,),
            curriculum=CurriculumSpec(),
            verifier_versions={"strict": 1},
            seed=0,
        ),
        TrainStage(
            prepare=ref("prepare"),
            curriculum=None,
            model=MODEL,
            tasks=(TASK,),
            train=TrainSpec(steps=4),
            verifier_versions={"strict": 1},
            seed=0,
            label="plain/seed0",
        ),
        ExportStage(train=ref("train"), model=MODEL, checkpoints=3, label="plain/seed0"),
        EvaluateStage(
            prepare=ref("prepare"),
            export=None,
            model=MODEL,
            tasks=(TASK,),
            evaluation=EvaluationSpec(),
            seed=0,
            label="base",
        ),
        RescoreStage(
            prepare=ref("prepare"),
            evaluate=ref("evaluate"),
            tasks=(TASK,),
            verifier_versions={"strict": 1},
            acknowledge=(),
            label="base",
        ),
        ReportStage(
            ablation=ABLATION,
            prepare=ref("prepare"),
            curriculum=ref("curriculum"),
            base_evaluate=ref("evaluate"),
            base_rescore=ref("rescore"),
            runs=(RunRef(arm="plain", seed=0, **run),),
            declared="name: small",
        ),
    ]
    return {spec.stage: spec for spec in specs}


def present() -> dict[str, dict[str, Any]]:
    """Version and key of each stage as the code has them now."""
    return {
        stage: {"version": spec.VERSION, "key": content_key(spec, ENVIRONMENT)} for stage, spec in fixed_specs().items()
    }


def test_every_stage_has_a_golden_key() -> None:
    stages = {cls.model_fields["stage"].default for cls in get_args(StageSpec)}
    assert set(json.loads(GOLDEN.read_text())) == stages == set(fixed_specs())


@pytest.mark.parametrize("stage", sorted(fixed_specs()))
def test_a_key_changes_only_together_with_its_stages_version(stage: str) -> None:
    """Old artifacts must not answer for new meanings, nor be orphaned unnoticed (F28)."""
    golden, now = json.loads(GOLDEN.read_text())[stage], present()[stage]
    if now["key"] != golden["key"]:
        assert now["version"] > golden["version"], (
            f"the key of `{stage}` changed: a field or a default of its spec did. Bump {stage}'s VERSION in "
            "assay/contracts/stage.py, then run `python -m tests.golden.plan.test_stage_keys`"
        )
    assert now == golden, "run `python -m tests.golden.plan.test_stage_keys` and commit the file"


@pytest.mark.parametrize("stage", sorted(fixed_specs()))
def test_a_new_version_is_a_new_key(stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = fixed_specs()[stage]
    before = content_key(spec, ENVIRONMENT)
    monkeypatch.setattr(type(spec), "VERSION", spec.VERSION + 1)
    assert content_key(spec, ENVIRONMENT) != before


def test_the_label_of_a_run_and_the_path_of_its_model_are_not_in_the_key() -> None:
    spec = fixed_specs()["train"]
    moved = spec.model_copy(update={"label": "other/seed9", "model": MODEL.model_copy(update={"path": "elsewhere"})})
    assert content_key(moved, ENVIRONMENT) == content_key(spec, ENVIRONMENT)


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(present(), indent=1, sort_keys=True) + "\n")
