"""Scale: what goes with which ZeRO stage."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from assay.contracts.scale import Scale


@pytest.mark.parametrize(
    ("settings", "dtype", "stage"),
    [
        ({}, "fp32", 0),
        ({}, "tf32", 0),
        ({}, "bf16", 1),
        ({}, "fp16", 1),
        ({"offload_optimizer": True}, "fp32", 1),
        ({"zero_stage": 3, "offload_parameters": True}, "bf16", 3),
        ({"zero_stage": 0}, "fp32", 0),
    ],
)
def test_the_stage_follows_from_precision_unless_it_is_named(settings: dict[str, Any], dtype: str, stage: int) -> None:
    assert Scale.model_validate(settings).stage(dtype) == stage


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"zero_stage": 0, "offload_optimizer": True}, "offload_optimizer needs zero_stage 1, 2 or 3; set one of them"),
        ({"zero_stage": 2, "offload_parameters": True}, "offload_parameters needs zero_stage 3, not 2; set it"),
    ],
)
def test_what_is_not_shared_out_cannot_be_offloaded(settings: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Scale.model_validate(settings)
