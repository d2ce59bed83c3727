"""Which sampler writes, and making it. `runtime.sampler` decides: nothing of it is part of a content key.

torch    any machine; in training it shares the trainer's model
vllm     a copy of the weights in an engine of its own, brought up to date after every update
auto     vllm where it is installed and the device is an accelerator, else torch
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import SpecError
from assay.contracts.precision import BOUNDS, bounds
from assay.contracts.sampling import Sampler, SampleRequest, VllmSettings
from assay.contracts.scale import Rank
from assay.contracts.stage import Runtime
from assay.contracts.training import TrainSpec
from assay.sampling.agreement import Comparison, score_with
from assay.sampling.models import load_model, load_tokenizer, pick_device
from assay.sampling.torch_apart import ApartTorchSampler
from assay.sampling.torch_engine import TorchSampler

if TYPE_CHECKING:
    from assay.sampling.vllm_engine import VllmSampler

_DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def uses_vllm(runtime: Runtime, device: torch.device) -> bool:
    """Whether vLLM writes. Raises SpecError where it is asked for and not installed."""
    installed = find_spec("vllm") is not None
    if runtime.sampler == "vllm" and not installed:
        raise SpecError("runtime.sampler", "vllm is not installed here", "Install assay[serve], or set it to torch")
    return runtime.sampler == "vllm" or (runtime.sampler == "auto" and installed and device.type == "cuda")


def sampler_name(runtime: Runtime) -> str:
    """For the record: `torch`, or `vllm` with its version."""
    return f"vllm {version('vllm')}" if uses_vllm(runtime, pick_device(runtime)) else "torch"


class Samplers:
    """Samplers of models that are not being trained, one after the other, in fp32. `probes`: what each model after the
    first is compared on with Hugging Face's."""

    def __init__(self, runtime: Runtime, tensor_parallel: int, probes: Sequence[SampleRequest]) -> None:
        self.runtime = runtime
        self.tensor_parallel = tensor_parallel
        self.comparison = Comparison(probes, BOUNDS["fp32"].gap)
        self.device = pick_device(runtime)
        self.engine: VllmSampler | None = None

    def of(self, model: ModelSpec) -> Sampler:
        """The sampler of a model; the one before it writes no more. vLLM is started once, and given other weights."""
        if not uses_vllm(self.runtime, self.device):
            loaded = load_model(model, self.device)
            return TorchSampler(loaded, load_tokenizer(model), self.runtime.max_batch_sequences)
        if self.engine is None:
            self.engine = self._start(model)
        else:
            self.engine.read_weights(model, score_with(load_model(model, torch.device("cpu"))))
        return self.engine

    def _start(self, model: ModelSpec) -> VllmSampler:
        from assay.sampling.vllm_engine import EngineShape, VllmSampler

        settings = self.runtime.vllm
        shape = EngineShape(
            self.device,
            torch.float32,
            self.runtime.max_batch_sequences,
            tensor_parallel=self.tensor_parallel,
            memory_share=settings.memory_share,
        )
        return VllmSampler(model, settings, shape, self.comparison)


def training_sampler(
    model: ModelSpec,
    policy: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: TrainSpec,
    runtime: Runtime,
    probes: Sequence[SampleRequest],
) -> Sampler:
    """The sampler of a model in training: `policy` itself where sampling and training take turns, else a copy of it,
    which is compared with it on `probes` after each update unless the copy is exact.

    Call it while the model is whole: ZeRO 3 leaves each process pieces of the weights, and adapters new names.
    """
    if uses_vllm(runtime, pick_device(runtime)):
        return _beside_training(model, train, runtime, probes)
    in_pieces = runtime.scale.stage(train.engine.dtype) == 3
    sampler = ApartTorchSampler if in_pieces or train.rollout.max_staleness_steps else TorchSampler
    return sampler(policy, tokenizer, runtime.max_batch_sequences)


def _beside_training(
    model: ModelSpec, train: TrainSpec, runtime: Runtime, probes: Sequence[SampleRequest]
) -> VllmSampler:
    """vLLM in the trainer's precision."""
    from assay.sampling.vllm_engine import EngineShape, VllmSampler

    device, settings, apart = pick_device(runtime), runtime.vllm, runtime.vllm.placement == "apart"
    _require_places(settings, Rank.from_environment().of, torch.cuda.device_count())
    takes_turns = not apart and train.rollout.max_staleness_steps == 0
    shape = EngineShape(
        device,
        _DTYPES[train.engine.dtype],
        runtime.max_batch_sequences,
        tensor_parallel=settings.tensor_parallel,
        memory_share=settings.memory_share if apart else settings.colocated_memory_share,
        sleeps=settings.sleep and device.type == "cuda" and takes_turns,
        apart=apart,
    )
    return VllmSampler(model, settings, shape, Comparison(probes, bounds(train).gap))


def _require_places(settings: VllmSettings, processes: int, accelerators: int) -> None:
    """Raises SpecError where vLLM cannot be placed beside so many training processes and accelerators."""
    wanted = settings.tensor_parallel
    if settings.placement == "colocated":
        if wanted > 1:
            problem = f"{wanted} accelerators cannot share an engine that lives in one training process"
            raise SpecError("runtime.vllm.tensor_parallel", problem, "Set it to 1, or placement to apart")
    elif processes > 1:
        problem = f"apart from {processes} training processes, and only one process hands its weights over"
        raise SpecError("runtime.vllm.placement", problem, "Set it to colocated, or train in one process")
    elif accelerators <= wanted:
        problem = f"training and vLLM need {wanted + 1} accelerators, and {accelerators} are here"
        raise SpecError("runtime.vllm.placement", problem, "Set it to colocated, or lower tensor_parallel")
