"""The policy: a model, its frozen reference, AdamW, and the log-probs of completions under each.

`Policy` holds everything in each process and sums gradients over them: plain torch, the only way of one process, and
ZeRO 0 of several. `assay.training.zero.ZeroPolicy` shares memory out with DeepSpeed behind the same methods:

    logprobs                        of all completions, before the update
    batches, token_logprobs,
    backward, update                one update: this process's completions, the loss of each micro-batch, AdamW
    named_weights                   for a sampler: as the model computes with them
    weights, moments, restore       for checkpoints: whole and in fp32, whatever holds them in pieces
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import PreTrainedModel

from assay.contracts.training import LoRASpec, OptimizerSpec
from assay.training.batching import TokenBatch, Tokens, collate, shared_rows
from assay.training.cuts import micro_batches, packed_batches
from assay.training.logprobs import token_logprobs
from assay.training.lora import add_adapters, frozen_twin, merged
from assay.training.packing import packed_positions
from assay.training.rates import learning_rate
from assay.training.recompute import recomputing
from assay.training.world import ALONE, World

MOMENTS = ("exp_avg", "exp_avg_sq", "step")
_VALUE = "value"
"""Beside the moments of an adapter: its own value, which merged weights do not tell."""


class Policy:
    """A trainable model with its reference and optimizer."""

    def __init__(
        self,
        model: PreTrainedModel,
        spec: OptimizerSpec,
        temperature: float,
        micro_batch_tokens: int,
        *,
        total_updates: int = 0,
        lora: LoRASpec | None = None,
        recompute: bool = False,
        packing: bool = False,
        world: World = ALONE,
    ) -> None:
        self.model = model
        self.spec = spec
        self.temperature = temperature
        self.micro_batch_tokens = micro_batch_tokens
        self.total_updates = total_updates
        self.lora = lora
        self.packing = packing
        self.world = world
        self.updates = 0
        self.rate_scale = 1.0
        """Of the whole schedule; each rollback halves it."""
        self.reference = self._split_off_reference()
        if recompute:
            model.gradient_checkpointing_enable({"use_reentrant": False})
        self.trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        self.trained_count = sum(parameter.numel() for parameter in self.trained.values())
        self.optimizer = adamw(list(self.trained.values()), spec)

    def _split_off_reference(self) -> PreTrainedModel:
        """The start model, frozen; adapters go into the policy alone."""
        if self.lora is None:
            return copy.deepcopy(self.model).eval().requires_grad_(False)
        reference = frozen_twin(self.model)
        add_adapters(self.model, self.lora)
        return reference

    def batches(self, items: Sequence[Tokens], rows: Sequence[int]) -> list[TokenBatch]:
        """This process's share of the rows as micro-batches within the token budget, on the model's device."""
        mine = shared_rows(items, rows, self.world.rank.of)[self.world.rank.index]
        return [collate(items, group, self.model.device) for group in self.cut(items, mine)]

    def cut(self, items: Sequence[Tokens], rows: Sequence[int]) -> list[list[int]]:
        """Rows by micro-batch."""
        way = packed_batches if self.packing else micro_batches
        return way(items, rows, self.micro_batch_tokens)

    def positions(self, batch: TokenBatch) -> int:
        """What a pass over a micro-batch runs, padding included; prompts as if none were shared."""
        return packed_positions(batch) if self.packing else batch.input_BS.numel()

    @torch.no_grad()
    def logprobs(self, items: Sequence[Tokens], model: PreTrainedModel) -> list[list[float]]:
        """Per-token log-probs of all items under `model` (the policy's own or its reference)."""
        mine: dict[int, list[float]] = {}
        for batch in self.batches(items, range(len(items))):
            scores_BT = self._scores(model, batch)
            for row, scores in zip(batch.rows, scores_BT.tolist(), strict=False):  # a blank one has no rows
                mine[row] = scores[: len(items[row].completion_tokens)]
        found = {row: values for share in self.world.gather(mine) for row, values in share.items()}
        return [found[row] for row in range(len(items))]

    def _scores(self, model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
        return token_logprobs(model, batch, self.temperature, self.packing)

    def token_logprobs(self, batch: TokenBatch) -> torch.Tensor:
        """Log-probs of a micro-batch under the policy, with gradient. Shape (B, T)."""
        with recomputing(self.model):
            return self._scores(self.model, batch)

    def backward(self, loss: torch.Tensor) -> None:
        """Add the gradient of a micro-batch's share of the update's loss."""
        loss.backward()  # type: ignore[no-untyped-call]

    def learning_rate(self) -> float:
        """Rate of the next update."""
        return self.rate_scale * learning_rate(self.spec, self.updates, self.total_updates)

    def update(self) -> GradientStats:
        """Clip the accumulated gradients, step AdamW, clear them.

        A gradient that is not finite is not applied: its norm makes a guard stop the run, with the weights still whole.
        """
        self._sum_gradients()
        norm = float(torch.nn.utils.clip_grad_norm_(self.trained.values(), self.spec.max_grad_norm))
        stats = self._stats(norm)
        for group in self.optimizer.param_groups:
            group["lr"] = stats.learning_rate
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.updates += 1
        return stats

    def _sum_gradients(self) -> None:
        """Over the processes; one without completions adds nothing."""
        if self.world.rank.of > 1:
            for parameter in self.trained.values():
                parameter.grad = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
                self.world.sum_(parameter.grad)

    def _stats(self, norm: float) -> GradientStats:
        return GradientStats(norm=norm, rms=norm / self.trained_count**0.5, learning_rate=self.learning_rate())

    @torch.no_grad()
    def named_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        """Every parameter once, whole, under its Hugging Face name, as the model computes with it."""
        weights = self._model_weights()
        yield from weights if self.lora is None else merged(dict(weights), self.lora).items()

    def _model_weights(self) -> Iterator[tuple[str, torch.Tensor]]:
        return ((name, self._whole(parameter)) for name, parameter in self.model.named_parameters())

    def weights(self) -> dict[str, torch.Tensor]:
        """The same in fp32, in host memory; tied tensors share storage and come under their first name.

        All processes gather; the first keeps what it is to write, the others have empty tensors.
        """
        found = {name: self._kept(self._value(parameter)) for name, parameter in self.model.named_parameters()}
        return merged(found, self.lora) if self.lora is not None and self.world.rank.leads else found

    def moments(self) -> dict[str, torch.Tensor]:
        """AdamW's state by `parameter.moment`; of adapters their values too. Kept as `weights` are."""
        return {
            f"{name}.{key}": self._kept(tensor)
            for name, parameter in self.trained.items()
            for key, tensor in self._resumed(parameter).items()
        }

    def _resumed(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        value = {} if self.lora is None else {_VALUE: self._value(parameter)}
        return self._moments(parameter) | value

    def _kept(self, tensor: torch.Tensor) -> torch.Tensor:
        return tensor.detach().float().cpu().contiguous() if self.world.rank.leads else tensor.new_empty(0)

    def counters(self) -> dict[str, Any]:
        """What else an exact resume needs, as JSON."""
        return {"updates": self.updates}

    @torch.no_grad()
    def restore(
        self, weights: Mapping[str, torch.Tensor], moments: Mapping[str, torch.Tensor], counters: Mapping[str, Any]
    ) -> None:
        """Become the policy that gave these, whatever number of processes it had."""
        for name, parameter in self.trained.items():
            self._set_value(parameter, weights[name] if self.lora is None else moments[f"{name}.{_VALUE}"])
            state = {key: moments[f"{name}.{key}"] for key in MOMENTS if f"{name}.{key}" in moments}
            self._set_moments(parameter, state)
        self.updates = counters["updates"]

    def _whole(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        return parameter.detach()

    def _value(self, parameter: torch.nn.Parameter) -> torch.Tensor:
        """The value that AdamW steps, or that is frozen."""
        return parameter.detach()

    def _set_value(self, parameter: torch.nn.Parameter, value: torch.Tensor) -> None:
        parameter.copy_(value)

    def _moments(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        state = self.optimizer.state.get(parameter, {})
        return {key: state[key] for key in MOMENTS if key in state}

    def _set_moments(self, parameter: torch.nn.Parameter, state: Mapping[str, torch.Tensor]) -> None:
        self.optimizer.state.pop(parameter, None)
        if state:
            placed = {key: tensor.to(parameter.device, copy=True) for key, tensor in state.items()}
            self.optimizer.state[parameter] = placed | {"step": state["step"].to("cpu", copy=True)}


def adamw(parameters: list[torch.nn.Parameter], spec: OptimizerSpec) -> torch.optim.AdamW:
    """AdamW with the spec's settings; its rate is set at each update."""
    betas = (spec.beta1, spec.beta2)
    return torch.optim.AdamW(
        parameters, lr=spec.learning_rate, betas=betas, eps=spec.eps, weight_decay=spec.weight_decay
    )


@dataclass(frozen=True, slots=True)
class GradientStats:
    """One update. `norm` and `rms` are before clipping; Adam's eps should lie well below `rms` (F15)."""

    norm: float
    rms: float
    learning_rate: float
