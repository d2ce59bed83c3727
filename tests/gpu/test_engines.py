"""Half precision, loss scaling and ZeRO on a GPU, against the torch policy in fp32 on the same GPU.

Four updates of a tiny Qwen3 in one process. Half precision rounds gradients by parts in a hundred, and with them Adam's
steps of up to 3e-3.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch

from tests.parity.training.processes import run

pytest.importorskip("deepspeed")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")

ALL = {"updates": [0, 4]}


def job(dtype: str, stage: int, updates: tuple[int, int] = (0, 4), **engine: Any) -> dict[str, Any]:
    spec = {"engine": {"dtype": dtype} | engine}
    return {"updates": list(updates), "spec": spec, "scale": {"zero_stage": stage}}


JOBS: dict[str, Any] = {
    "fp32": ALL,
    "tf32": ALL | {"spec": {"engine": {"dtype": "tf32"}}},
    **{f"{dtype}-{stage}": job(dtype, stage) for dtype in ("bf16", "fp16") for stage in (1, 2, 3)},
    "zero3": ALL | {"scale": {"zero_stage": 3}},
    "first": job("fp16", 2, (0, 2)),
    "rest": job("fp16", 2, (2, 4)) | {"load": "first"},
    "overflow": job("fp16", 2, (0, 1), fp16_scale_power=32),
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return run(1, tmp_path_factory.mktemp("gpu") / "one", JOBS, "cuda")


def furthest(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    return max(float((found[name] - expected[name]).abs().max()) for name in expected)


@pytest.mark.parametrize("name", ["bf16-1", "bf16-2", "bf16-3", "fp16-1", "fp16-2", "fp16-3"])
def test_half_precision_trains_what_fp32_trains(trained: dict[str, Any], name: str) -> None:
    dtype = torch.bfloat16 if name.startswith("bf16") else torch.float16
    assert furthest(trained[name]["weights"], trained["fp32"]["weights"]) < 1.5e-2
    for parameter, tensor in trained[name]["weights"].items():
        assert torch.equal(trained[name]["sampled"][parameter], tensor.to(dtype).float())
    for mine, theirs in zip(trained[name]["metrics"], trained["fp32"]["metrics"], strict=True):
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=0.05)


@pytest.mark.parametrize(("name", "within"), [("zero3", 5e-6), ("tf32", 1.5e-2)])
def test_fp32_and_tf32_are_as_exact_as_they_say(trained: dict[str, Any], name: str, within: float) -> None:
    assert furthest(trained[name]["weights"], trained["fp32"]["weights"]) < within


def test_a_resumed_fp16_run_ends_with_the_same_bits_and_the_same_loss_scale(trained: dict[str, Any]) -> None:
    assert furthest(trained["rest"]["weights"], trained["fp16-2"]["weights"]) == 0
    assert trained["rest"]["counters"] == trained["fp16-2"]["counters"]


def test_a_gradient_that_overflows_is_skipped_and_the_scale_halved(trained: dict[str, Any]) -> None:
    (row,) = trained["overflow"]["metrics"]
    assert (row["grad_norm"], row["learning_rate"]) == (0, 0)
    assert trained["overflow"]["moments"] == {}
    assert trained["overflow"]["counters"]["loss_scaler"]["cur_scale"] == 2.0**31


@pytest.mark.skipif(find_spec("liger_kernel") is None, reason="needs liger-kernel")
def test_ligers_kernels_change_the_last_bits_alone(trained: dict[str, Any], tmp_path: Any) -> None:
    found = run(1, tmp_path / "liger", {"liger": ALL | {"scale": {"liger": True}}}, "cuda")["liger"]
    assert furthest(found["weights"], trained["fp32"]["weights"]) < 1e-4


@pytest.fixture(scope="module")
def two(trained: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Two processes with a GPU each, through NCCL."""
    assert "fp32" in trained
    jobs = {name: ALL | {"scale": scale} for name, scale in SCALES.items()}
    halves = {name: JOBS[name] for name in ("bf16-1", "bf16-3", "fp16-2")}
    return run(2, tmp_path_factory.mktemp("gpus") / "two", jobs | halves, "cuda")


SCALES: dict[str, Any] = {
    "torch": {},
    "zero2": {"zero_stage": 2, "offload_optimizer": True},
    "zero3": {"zero_stage": 3, "activation_checkpointing": True},
    "packing": {"packing": True},
}


@two_gpus
@pytest.mark.parametrize("name", SCALES)
def test_two_gpus_train_what_one_trains(trained: dict[str, Any], two: dict[str, Any], name: str) -> None:
    assert furthest(two[name]["weights"], trained["fp32"]["weights"]) < 1e-4


@two_gpus
@pytest.mark.parametrize("name", ["bf16-1", "bf16-3", "fp16-2"])
def test_so_they_do_in_half_precision(trained: dict[str, Any], two: dict[str, Any], name: str) -> None:
    assert furthest(two[name]["weights"], trained["fp32"]["weights"]) < 1.5e-2
