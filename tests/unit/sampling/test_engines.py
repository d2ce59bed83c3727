"""Which sampler writes: the setting, what is installed, and the device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import SpecError
from assay.contracts.sampling import SampleRequest, VllmSettings
from assay.contracts.stage import Runtime
from assay.contracts.training import TrainSpec
from assay.sampling import engines, vllm_engine
from assay.sampling.engines import Samplers, sampler_name, training_sampler, uses_vllm
from assay.sampling.torch_apart import ApartTorchSampler
from assay.sampling.torch_engine import TorchSampler

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
TRAIN = TrainSpec(steps=1)


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: name)


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda _: None)


@pytest.mark.usefixtures("installed")
def test_auto_takes_vllm_on_an_accelerator_alone() -> None:
    assert uses_vllm(Runtime(), CUDA)
    assert not uses_vllm(Runtime(), CPU)
    assert uses_vllm(Runtime(sampler="vllm"), CPU)
    assert not uses_vllm(Runtime(sampler="torch"), CUDA)


@pytest.mark.usefixtures("missing")
def test_auto_does_without_what_is_not_installed_and_a_choice_does_not() -> None:
    assert not uses_vllm(Runtime(), CUDA)
    with pytest.raises(SpecError, match=r"runtime\.sampler: vllm is not installed here\. Install assay\[serve\]"):
        uses_vllm(Runtime(sampler="vllm"), CPU)


def test_the_record_names_the_sampler() -> None:
    assert sampler_name(Runtime(device="cpu")) == "torch"


def test_the_torch_sampler_shares_the_trainers_model_unless_it_lags_behind(
    model_directory: Path, make_model: Any, byte_tokenizer: Any
) -> None:
    spec, policy = ModelSpec(path=str(model_directory), kind="base"), make_model()
    shared = training_sampler(spec, policy, byte_tokenizer, TRAIN, Runtime(device="cpu"), ())
    assert type(shared) is TorchSampler
    assert shared.model is policy
    lagging = TRAIN.model_copy(update={"rollout": TRAIN.rollout.model_copy(update={"max_staleness_steps": 1})})
    apart = training_sampler(spec, policy, byte_tokenizer, lagging, Runtime(device="cpu"), ())
    assert type(apart) is ApartTorchSampler
    assert apart.model is not policy


def test_samplers_of_one_model_after_another(model_directory: Path) -> None:
    samplers = Samplers(Runtime(device="cpu", max_batch_sequences=7), tensor_parallel=1, probes=())
    spec = ModelSpec(path=str(model_directory), kind="base")
    first, second = samplers.of(spec), samplers.of(spec)
    assert isinstance(first, TorchSampler)
    assert first.max_batch_sequences == 7
    assert first is not second


@pytest.mark.parametrize(
    ("settings", "processes", "accelerators", "message"),
    [
        (VllmSettings(tensor_parallel=2), 1, 4, r"tensor_parallel: 2 .*Set it to 1, or placement to apart"),
        (VllmSettings(placement="apart"), 2, 4, r"placement: apart from 2 training processes"),
        (VllmSettings(placement="apart", tensor_parallel=2), 1, 2, r"placement: .*need 3 accelerators, and 2 are here"),
        (VllmSettings(placement="apart"), 1, 0, r"placement: .*need 2 accelerators, and 0 are here"),
    ],
)
def test_an_engine_needs_its_place(settings: VllmSettings, processes: int, accelerators: int, message: str) -> None:
    with pytest.raises(SpecError, match=rf"runtime\.vllm\.{message}"):
        engines._require_places(settings, processes, accelerators)


def test_an_engine_that_has_its_place_is_started() -> None:
    engines._require_places(VllmSettings(), processes=8, accelerators=8)
    engines._require_places(VllmSettings(placement="apart", tensor_parallel=2), processes=1, accelerators=3)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("dtype", "tolerance", "gap"),
    [("fp32", None, 1e-3), ("tf32", None, 0.02), ("bf16", None, 0.05), ("bf16", 0.2, 0.2)],
)
def test_a_copy_is_held_to_the_bounds_of_the_run(
    dtype: str, tolerance: float | None, gap: float, monkeypatch: pytest.MonkeyPatch, make_model: Any
) -> None:
    """Those of the check at step 0, with the same way out of them."""
    monkeypatch.setattr(vllm_engine, "VllmSampler", lambda *given: given)
    train = TrainSpec.model_validate({"steps": 1, "engine": {"dtype": dtype}, "logprob_tolerance": tolerance})
    probe = SampleRequest((1, 2), 0, 4, 1.0)
    runtime, spec = Runtime(device="cpu", sampler="vllm"), ModelSpec(path="/nowhere", kind="base")
    *_, comparison = training_sampler(spec, make_model(), None, train, runtime, [probe])  # type: ignore[arg-type, misc]
    assert (comparison.probes, comparison.gap) == ([probe], gap)
