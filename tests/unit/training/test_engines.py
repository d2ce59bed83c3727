"""What a device or an environment cannot do is refused before anything is trained."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch

from assay.contracts.errors import SpecError
from assay.contracts.scale import Rank, Scale
from assay.contracts.training import EngineSpec
from assay.training.engines import prepare, training_world
from assay.training.world import ALONE


def engine(**settings: Any) -> EngineSpec:
    return EngineSpec.model_validate(settings)


def test_fp16_is_not_trained_on_a_cpu(make_model: Any) -> None:
    with pytest.raises(SpecError, match=r"train\.engine\.dtype: fp16 is not trained on a CPU"):
        prepare(make_model(), engine(dtype="fp16"), Scale())


def test_half_precision_needs_fp32_weights_beside_it(make_model: Any) -> None:
    with pytest.raises(SpecError, match=r"runtime\.scale\.zero_stage: 0 keeps no fp32 weights, which bf16 needs"):
        prepare(make_model(), engine(dtype="bf16"), Scale(zero_stage=0))


def test_liger_is_refused_on_a_cpu(make_model: Any) -> None:
    with pytest.raises(SpecError, match=r"runtime\.scale\.liger: Liger's kernels run on GPUs only"):
        prepare(make_model(), engine(), Scale(liger=True))


def test_a_missing_deepspeed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from assay.training import zero

    monkeypatch.setitem(sys.modules, "deepspeed", None)
    with pytest.raises(SpecError, match=r"runtime\.scale: DeepSpeed is not installed.*Install assay\[scale\]"):
        zero._deepspeed(torch.device("cpu"))


@pytest.mark.parametrize(
    ("dtype", "expected"), [("fp32", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_the_start_model_is_cast_and_products_are_rounded_as_asked(
    make_model: Any, dtype: Any, expected: torch.dtype
) -> None:
    model = prepare(make_model(), engine(dtype=dtype), Scale())
    assert {parameter.dtype for parameter in model.parameters()} == {expected}
    assert torch.get_float32_matmul_precision() == ("high" if dtype == "tf32" else "highest")
    prepare(make_model(), engine(), Scale())


def test_half_precision_leaves_the_angles_of_rotary_embeddings_exact(make_model: Any) -> None:
    """`inv_freq` rounded to bf16 turns position 1,000 by a radian: another model than the one that samples (F25)."""
    model, expected = prepare(make_model(), engine(dtype="bf16"), Scale()), make_model()
    found = dict(model.named_buffers())
    assert found.keys() == dict(expected.named_buffers()).keys() != set()
    assert all(torch.equal(found[name], buffer) for name, buffer in expected.named_buffers())


def test_one_process_in_fp32_needs_no_world() -> None:
    with training_world(EngineSpec(), Scale(), torch.device("cpu")) as world:
        assert world is ALONE
        assert world.gather("all") == ["all"]
        assert list(world.share(3)) == [0, 1, 2]


def test_this_process_is_numbered_as_torchrun_numbers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Rank.from_environment() == Rank(0, 1, 0)
    for name, value in {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}.items():
        monkeypatch.setenv(name, value)
    assert Rank.from_environment() == Rank(5, 8, 1)
    assert not Rank.from_environment().leads
