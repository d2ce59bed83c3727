"""The policy on DeepSpeed: ZeRO 1 to 3, half precision on fp32 weights, offload (1910.02054; www.deepspeed.ai).

DeepSpeed keeps AdamW's fp32 weights and moments in flat pieces, one for each process, and adds up gradients until
`step`. From ZeRO 2 on a backward pass, and in ZeRO 3 a forward pass, needs every process: one that has fewer
micro-batches than another runs blank ones. Checkpoints never see the pieces: values and moments are gathered whole, and
cut anew for whatever number of processes reads them.

Nothing is compiled: AdamW is torch's, and DeepSpeed's shared-memory kernel for CPUs is left aside, so no start can hang
on the lock of a build that was killed.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from transformers import PreTrainedModel

from assay.contracts.errors import InvariantError, SpecError
from assay.contracts.scale import Rank, Scale
from assay.contracts.training import EngineSpec, OptimizerSpec
from assay.training.batching import TokenBatch, Tokens, blank, collate, shared_rows
from assay.training.logprobs import Head, Scorer
from assay.training.policy import GradientStats, Policy
from assay.training.world import World

_MOMENTS = ("exp_avg", "exp_avg_sq")
_SCALER = ("cur_scale", "cur_iter", "last_overflow_iter", "cur_hysteresis")
_NEVER = 1 << 30


class ZeroPolicy(Policy):
    """A policy whose optimizer, gradients or weights are shared out over the processes."""

    def __init__(
        self,
        model: PreTrainedModel,
        spec: OptimizerSpec,
        temperature: float,
        micro_batch_tokens: int,
        *,
        engine: EngineSpec,
        scale: Scale,
        total_updates: int,
        world: World,
    ) -> None:
        deepspeed = _deepspeed(model.device)
        self.stage = scale.stage(engine.dtype)
        super().__init__(
            model,
            spec,
            temperature,
            micro_batch_tokens,
            total_updates=total_updates,
            lora=engine.lora,
            recompute=scale.activation_checkpointing,
            packing=scale.packing,
            world=world,
        )
        settings = engine_settings(spec, engine, scale, world.rank.of)
        scorer = self._scorer(deepspeed, model, scale)
        self.engine = deepspeed.initialize(model=scorer, optimizer=self.optimizer, config=settings)[0]
        self.zero: Any = self.engine.optimizer
        self.reference_scorer = self._placed_reference(deepspeed, scale, settings)

    def _scorer(self, deepspeed: Any, model: PreTrainedModel, scale: Scale) -> Scorer:
        """ZeRO 3 gathers the output layer around the pieces in which it is used, not for each of them."""
        scorer = Scorer(model, scale.packing)
        if self.stage == 3 and scorer.head is not None:
            deepspeed.utils.set_z3_leaf_modules(scorer, [Head])
        return scorer

    def _placed_reference(self, deepspeed: Any, scale: Scale, settings: dict[str, Any]) -> torch.nn.Module:
        """On the device; ZeRO 3 shares out the reference as well."""
        scorer = self._scorer(deepspeed, self.reference, scale)
        if self.stage < 3:
            return scorer.to(self.engine.device)
        del settings["zero_optimization"]["offload_optimizer"]
        placed: torch.nn.Module = deepspeed.initialize(model=scorer, config=settings)[0]
        return placed

    def batches(self, items: Sequence[Tokens], rows: Sequence[int]) -> list[TokenBatch]:
        """This process's micro-batches, and as many blank ones as another has more."""
        shares = shared_rows(items, rows, self.world.rank.of)
        cut = [self.cut(items, share) for share in shares]
        mine = [collate(items, group, self.engine.device) for group in cut[self.world.rank.index]]
        return mine + [blank(self.engine.device)] * (max(map(len, cut)) - len(mine))

    def _scores(self, model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
        scorer = self.engine if model is self.model else self.reference_scorer
        scores_BT: torch.Tensor = scorer(batch, self.temperature)
        return scores_BT

    def backward(self, loss: torch.Tensor) -> None:
        """DeepSpeed takes the mean over the processes, and the update's loss is the sum of their shares.

        fp16's loss scale begins lower by as much.
        """
        self.engine.backward(loss * self.world.rank.of)

    def update(self) -> GradientStats:
        """As the torch policy. An fp16 gradient that overflows its loss scale is no fault of the policy: nothing is
        applied or counted, the scale is halved, and a scale that cannot be halved ends the run."""
        rate = self.learning_rate()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with _named_minimum():
            self.engine.step()
        norm = float(self.engine.get_global_grad_norm())
        if self.engine.fp16_enabled() and not math.isfinite(norm):
            return GradientStats(0.0, 0.0, 0.0)
        self.updates += 1
        return GradientStats(norm, norm / self.trained_count**0.5, rate)

    def counters(self) -> dict[str, Any]:
        """The number of updates, and how the loss is scaled."""
        scaler = getattr(self.zero, "loss_scaler", None)
        scaling = {name: getattr(scaler, name) for name in _SCALER if hasattr(scaler, name)}
        return super().counters() | {"loss_scaler": scaling}

    def restore(
        self, weights: Mapping[str, torch.Tensor], moments: Mapping[str, torch.Tensor], counters: Mapping[str, Any]
    ) -> None:
        for tensor in (tensor for piece in self._pieces() for tensor in self.optimizer.state.get(piece, {}).values()):
            tensor.zero_()  # of a run that goes back to where it had none
        super().restore(weights, moments, counters)
        scaler = getattr(self.zero, "loss_scaler", None)
        for name, value in counters.get("loss_scaler", {}).items() if scaler is not None else ():
            setattr(scaler, name, value)

    def _whole(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters

        with GatheredParameters([parameter], enabled=self.stage == 3):
            return parameter.detach().clone() if self.stage == 3 else parameter.detach()

    def _value(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        from deepspeed.utils import safe_get_full_fp32_param

        return safe_get_full_fp32_param(parameter) if parameter.requires_grad else self._whole(parameter)

    def _set_value(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        from deepspeed.runtime.zero.partition_parameters import GatheredParameters
        from deepspeed.utils import safe_set_full_fp32_param, safe_set_local_fp32_param

        placed = value.to(self.engine.device)
        if self.stage == 3:
            safe_set_local_fp32_param(parameter, self._piece(parameter, placed))
        else:
            safe_set_full_fp32_param(parameter, placed)
        with GatheredParameters([parameter], modifier_rank=0, enabled=self.stage == 3):
            parameter.copy_(placed)

    def _moments(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        from deepspeed.utils import safe_get_full_optimizer_state

        states = [self.optimizer.state[piece] for piece in self._pieces() if piece in self.optimizer.state]
        if not states:
            return {}
        found = {key: safe_get_full_optimizer_state(parameter, key) for key in _MOMENTS}
        return found | {"step": states[0]["step"].clone()}

    def _set_moments(self, parameter: torch.nn.Parameter, state: Mapping[str, torch.Tensor]) -> None:
        from deepspeed.utils import safe_set_full_optimizer_state, safe_set_local_optimizer_state

        if not state:
            return
        self._begin_moments(state["step"])
        for key in _MOMENTS:
            placed = state[key].to(self.engine.device)
            if self.stage == 3:
                safe_set_local_optimizer_state(parameter, self._piece(parameter, placed), key)
            else:
                safe_set_full_optimizer_state(parameter, placed, key)

    def _piece(self, parameter: torch.nn.Parameter, whole: torch.Tensor) -> torch.Tensor:
        """This process's share of a tensor under ZeRO 3: equal parts, the last one padded, which DeepSpeed's own way of
        setting whole tensors forgets."""
        size = parameter.ds_tensor.ds_numel  # type: ignore[attr-defined]
        padded = torch.nn.functional.pad(whole.flatten(), (0, size * self.world.rank.of - whole.numel()))
        return padded[size * self.world.rank.index :][:size]

    def _begin_moments(self, step: torch.Tensor) -> None:
        """torch makes AdamW's state at the first step; a resumed run needs it before."""
        for piece in self._pieces():
            state = self.optimizer.state.setdefault(piece, {})
            for key in _MOMENTS:
                state.setdefault(key, torch.zeros_like(piece))
            state["step"] = step.clone()
        if self.stage < 3:
            self.zero._lazy_init_hp_params_optimizer_state()

    def _pieces(self) -> list[torch.Tensor]:
        """This process's flat pieces of the fp32 weights, under the names of DeepSpeed's three optimizers."""
        for name in ("single_partition_of_fp32_groups", "fp32_partitioned_groups_flat", "fp32_groups_flat_partition"):
            if hasattr(self.zero, name):
                return list(getattr(self.zero, name))
        raise InvariantError(f"DeepSpeed's {type(self.zero).__name__} is not known here; use another zero_stage")


def engine_settings(spec: OptimizerSpec, engine: EngineSpec, scale: Scale, processes: int) -> dict[str, Any]:
    """DeepSpeed's configuration (deepspeed.ai/docs/config-json). `step` alone ends the adding up of gradients.

    An fp16 gradient is scaled by the loss scale times the number of processes: the first gives way to the second.
    """
    host = {"device": "cpu"}
    scale_power = max(0, engine.fp16_scale_power - math.ceil(math.log2(processes)))
    return {
        "train_micro_batch_size_per_gpu": 1,
        "gradient_accumulation_steps": 1,
        "managed_gradient_accumulation": False,
        "gradient_clipping": spec.max_grad_norm,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
        "zero_optimization": {
            "stage": scale.stage(engine.dtype),
            "overlap_comm": False,
            "offload_optimizer": host if scale.offload_optimizer else None,
            "offload_param": host if scale.offload_parameters else None,
        },
        "bf16": {"enabled": engine.dtype == "bf16", "check_grad_overflow": True},
        "fp16": {"enabled": engine.dtype == "fp16", "initial_scale_power": scale_power, "hysteresis": 1},
        "data_types": {"grad_accum_dtype": "fp32"},
        "steps_per_print": _NEVER,
    }


def _deepspeed(device: torch.device) -> Any:
    os.environ.setdefault("DS_ACCELERATOR", device.type)  # it would take a GPU that the run is not to use
    try:
        import deepspeed
    except ImportError as error:
        problem = "DeepSpeed is not installed, and ZeRO 1 to 3, half precision and offload are its work"
        raise SpecError("runtime.scale", problem, "Install assay[scale], or set zero_stage 0 and dtype fp32") from error
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    logging.getLogger("DeepSpeed").setLevel(logging.WARNING)
    os.environ.setdefault("LOCAL_RANK", str(Rank.from_environment().local))  # asked for even of one process alone
    deepspeed.init_distributed(dist_init_required=False)
    return deepspeed


@contextmanager
def _named_minimum() -> Iterator[None]:
    """DeepSpeed raises a bare Exception when its loss scale cannot fall any more."""
    try:
        yield
    except Exception as error:
        if "loss scale already at minimum" not in str(error):
            raise
        problem = "fp16 gradients overflow at a loss scale of 1, so they are not finite in themselves"
        raise InvariantError(f"{problem}. Use bf16 or fp32, or a lower learning rate") from error
