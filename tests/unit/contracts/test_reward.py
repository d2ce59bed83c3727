"""How parts of a reward may be written, and what is refused, with words that say what to do."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from assay.contracts.ablation import AblationSpec
from assay.contracts.reward import CorrectPart, FormatPart, Gate, OverlongPart, VerifierPart
from assay.contracts.training import TrainSpec
from assay.contracts.verifier import SYMBOLIC
from assay.plan.load import arm_train_spec


def parts(declared: Any) -> dict[str, Any]:
    return dict(TrainSpec.model_validate({"steps": 1, "reward_weights": declared}).reward_weights)


def test_a_number_is_a_part_of_the_kind_that_its_name_says() -> None:
    assert parts({"correct": 1.0}) == {"correct": CorrectPart(weight=1.0)} == TrainSpec(steps=1).reward_weights
    assert parts({"correct": 1, "format": 0.1}) == {"correct": CorrectPart(weight=1), "format": FormatPart(weight=0.1)}


def test_a_part_is_written_out_where_it_has_options() -> None:
    gate = {"part": "correct", "at_least": 1}
    found = parts({"overlong": {"weight": 1, "buffer_tokens": 9}, "style": {"kind": "verifier", "verifier": "symbolic",
                   "weight": 0.5, "until_step": 9, "gate": gate}})  # fmt: skip
    assert found["overlong"] == OverlongPart(weight=1, buffer_tokens=9)
    assert found["style"] == VerifierPart(
        verifier=SYMBOLIC, weight=0.5, until_step=9, gate=Gate(part="correct", at_least=1)
    )


def test_what_is_written_out_reads_back_as_itself() -> None:
    spec = TrainSpec.model_validate(
        {"steps": 1, "reward_weights": {"correct": 1, "format": {"weight": 1, "pattern": "x"}}}
    )
    assert TrainSpec.model_validate(spec.model_dump(mode="json")) == spec
    assert TrainSpec.model_validate_json(spec.model_dump_json()) == spec


def test_an_arm_changes_a_part_key_by_key() -> None:
    spec = AblationSpec.model_validate({
        "name": "a", "model": {"path": "m", "kind": "base"},
        "tasks": [{"task": {"name": "t", "source": {"kind": "arithmetic", "levels": {"a": [2, 1]}},
                            "prompt": "{question}", "max_completion_tokens": 8}, "train": 1}],
        "train": {"steps": 1, "reward_weights": {"correct": 1, "format": {"weight": 0.1, "until_step": 50}}},
        "arms": {"more": {"reward_weights": {"format": {"weight": 0.5}}}, "flat": {"reward_weights": {"format": 0.5}}},
    })  # fmt: skip
    assert arm_train_spec(spec, "more").reward_weights["format"] == FormatPart(weight=0.5, until_step=50)
    assert arm_train_spec(spec, "flat").reward_weights["format"] == FormatPart(weight=0.5)


@pytest.mark.parametrize(
    ("declared", "told"),
    [
        ({"correct": 0}, "every weight is 0"),
        ({"style": 0.5}, "'style' is no kind of part; use correct, format, overlong, repetition, or give it a `kind`"),
        ({"correct": {"kind": "format", "weight": 1}}, "no other name has the kind `correct`"),
        ({"right": {"kind": "correct", "weight": 1}}, "no other name has the kind `correct`"),
        ({"format": {"weight": 1, "until_step": 3, "fade_from_step": 4}}, "fade_from_step 4 is after until_step 3"),
        (
            {"format": {"weight": 1, "gate": {"part": "overlong", "at_least": 0}}, "overlong": 1},
            "stands before: correct",
        ),
        ({"format": {"weight": 1, "gate": {"part": "format", "at_least": 0}}}, "stands before: correct"),
        ({"format": {"weight": 1, "pattern": "(a"}}, "is not a regular expression"),
        ({"format": {"weight": 1, "pattern": "a(?=b)"}}, r"has '\(\?=', which no linear-time search knows"),
        ({"format": {"weight": 1, "pattern": r"(a)\1"}}, "which no linear-time search knows"),
        ({"format": {"weight": 1, "patern": "a"}}, "Extra inputs are not permitted"),
        ({"overlong": {"weight": 1, "buffer_tokens": 0}}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_work_is_refused(declared: Any, told: str) -> None:
    with pytest.raises(ValidationError, match=told):
        parts(declared)


@pytest.mark.parametrize("pattern", [r"\++", r"(?i)yes|no", r"(?P<x>a)", r"\\1", r"(?:ab)+", r"\bx\b"])
def test_linear_patterns_are_taken(pattern: str) -> None:
    assert parts({"format": {"weight": 1, "pattern": pattern}})["format"].pattern == pattern
