"""Which policy a run trains, and in which world: torch alone, torch in several processes, or DeepSpeed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from transformers import PreTrainedModel

from assay.contracts.errors import SpecError
from assay.contracts.scale import Rank, Scale
from assay.contracts.training import EngineSpec, TrainSpec
from assay.training.packing import can_pack
from assay.training.policy import Policy
from assay.training.world import ALONE, World, joined

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@contextmanager
def training_world(engine: EngineSpec, scale: Scale, device: torch.device) -> Iterator[World]:
    """The processes that torchrun started; DeepSpeed wants a world even of one."""
    rank = Rank.from_environment()
    if rank.of == 1 and scale.stage(engine.dtype) == 0:
        yield ALONE
        return
    with joined(rank, device, scale.timeout_s) as world:
        yield world


def prepare(model: PreTrainedModel, engine: EngineSpec, scale: Scale) -> PreTrainedModel:
    """The start model in the precision and with the kernels of a run: policy, reference and sampler begin as copies.

    Raises SpecError for what this device or this environment cannot do.
    """
    torch.set_float32_matmul_precision("high" if engine.dtype == "tf32" else "highest")
    _require_possible(model, engine, scale)
    if scale.liger:
        _use_liger(model)
    _cast_weights(model, DTYPES.get(engine.dtype, torch.float32))
    return model


def _cast_weights(model: PreTrainedModel, dtype: torch.dtype) -> None:
    """Weights alone: `Module.to` would round buffers too, and turn rotary embeddings by a radian at position 1,000."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)


def _require_possible(model: PreTrainedModel, engine: EngineSpec, scale: Scale) -> None:
    half = engine.dtype in DTYPES
    if half and scale.stage(engine.dtype) == 0:
        remedy = "Leave zero_stage out, or set 1, 2 or 3"
        raise SpecError("runtime.scale.zero_stage", f"0 keeps no fp32 weights, which {engine.dtype} needs", remedy)
    if scale.packing and not can_pack(model):
        problem = f"{model.config.model_type} has layers that carry a state from one row into the next"
        raise SpecError("runtime.scale.packing", problem, "Set it to false")
    if engine.dtype == "fp16" and model.device.type == "cpu":
        raise SpecError("train.engine.dtype", "fp16 is not trained on a CPU", "Use bf16 or fp32, or a GPU")


def _use_liger(model: PreTrainedModel) -> None:
    if model.device.type == "cpu":
        raise SpecError("runtime.scale.liger", "Liger's kernels run on GPUs only", "Set it to false, or use a GPU")
    try:
        from liger_kernel.transformers import _apply_liger_kernel_to_instance
        from liger_kernel.transformers.monkey_patch import MODEL_TYPE_TO_APPLY_LIGER_FN
    except ImportError as error:
        problem = "liger-kernel is not installed"
        raise SpecError("runtime.scale.liger", problem, "Install liger-kernel, or set it to false") from error
    if model.config.model_type not in MODEL_TYPE_TO_APPLY_LIGER_FN:  # it would log that, and do nothing
        problem = f"Liger has no kernels for {model.config.model_type}"
        raise SpecError("runtime.scale.liger", problem, "Set it to false")
    _apply_liger_kernel_to_instance(model, cross_entropy=False, fused_linear_cross_entropy=False)


def make_policy(model: PreTrainedModel, spec: TrainSpec, scale: Scale, world: World) -> Policy:
    """The policy of a run, on a model that `prepare` returned."""
    settings = (model, spec.optimizer, spec.temperature, spec.micro_batch_tokens)
    updates = spec.steps * spec.updates_per_step
    if scale.stage(spec.engine.dtype) == 0:
        lora, recompute, packing = spec.engine.lora, scale.activation_checkpointing, scale.packing
        return Policy(*settings, total_updates=updates, lora=lora, recompute=recompute, packing=packing, world=world)
    from assay.training.zero import ZeroPolicy

    return ZeroPolicy(*settings, engine=spec.engine, scale=scale, total_updates=updates, world=world)
