"""PPO's critic: the reward a completion is still expected to earn, before each of its tokens.

V_t comes from prompt and completion up to, and without, token t: a copy of the start model's decoder, with one linear
unit, zero at first, in place of its output layer. It learns the returns A_t + V_t of generalised advantage estimation:

    loss = Σ_t max((V − R)², (clip(V, V_old ± ε) − R)²) / 2 / tokens of the update

It is a model of its own: neither gradient moves the other, and nothing of it is exported. Of several processes each
holds all of it and computes the same.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from assay.contracts.objective import CriticSpec
from assay.contracts.training import OptimizerSpec, TrainSpec
from assay.training.batching import TokenBatch, Tokens, collate
from assay.training.credit import StepBatch, TokenValues
from assay.training.cuts import micro_batches
from assay.training.losses import Averaging, clipped_value_loss
from assay.training.metrics import largest
from assay.training.policy import MOMENTS, adamw
from assay.training.update import shares


class ValueModel(torch.nn.Module):
    """Token batch -> V of shape (B, T), fp32."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.trunk = copy.deepcopy(model.get_decoder()).float().requires_grad_(True)
        width = model.config.get_text_config().hidden_size
        without_random_numbers: Any = torch.nn.utils.skip_init
        self.head = without_random_numbers(torch.nn.Linear, width, 1, device=model.device)
        torch.nn.init.zeros_(self.head.weight)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, batch: TokenBatch) -> torch.Tensor:
        hidden_BSH = self.trunk(
            input_ids=batch.input_BS,
            attention_mask=batch.attention_BS,
            position_ids=batch.position_BS,
            use_cache=False,
        ).last_hidden_state
        values_BT: torch.Tensor = self.head(hidden_BSH[:, -batch.target_BT.shape[1] - 1 : -1])[..., 0]
        return values_BT.masked_fill(batch.mask_BT == 0, 0.0)


class Critic:
    """The value model and its optimizer."""

    def __init__(
        self, model: PreTrainedModel, spec: CriticSpec, optimizer: OptimizerSpec, micro_batch_tokens: int
    ) -> None:
        self.model = ValueModel(model)
        self.spec = spec
        self.rate_scale = 1.0
        self.max_grad_norm = optimizer.max_grad_norm
        self.micro_batch_tokens = micro_batch_tokens
        rate = {"learning_rate": spec.learning_rate}
        self.optimizer = adamw(list(self.model.parameters()), optimizer.model_copy(update=rate))

    @torch.no_grad()
    def values(self, items: Sequence[Tokens]) -> TokenValues:
        """V before each token of all items."""
        found: TokenValues = [[] for _ in items]
        for batch in self._batches(items, range(len(items))):
            for row, values in zip(batch.rows, self.model(batch).tolist(), strict=True):
                found[row] = values[: len(items[row].completion_tokens)]
        return found

    def update(self, batch: StepBatch, returns: TokenValues, updates: int) -> dict[str, float]:
        """As many updates as the policy makes, on the same shares. A completion that was not judged teaches nothing."""
        assert batch.values is not None
        losses, norms = [], []
        for share in shares(batch.group_sizes, updates):
            rows = [row for row in share if not math.isnan(returns[row][0])]
            if rows:
                losses.append(self._accumulate(batch, batch.values, returns, rows))
                norms.append(self._step())
        return {
            "value_loss": sum(losses) / max(1, len(losses)),
            "value_explained": explained(batch.values, returns),
            "value_grad_norm": largest(0.0, *norms),
        }

    def _accumulate(self, batch: StepBatch, values: TokenValues, returns: TokenValues, rows: list[int]) -> float:
        """Gradient of one update's loss, and its value."""
        tokens = sum(len(returns[row]) for row in rows)
        average = Averaging("tokens", len(rows), tokens, batch.token_budget)
        total = 0.0
        for micro in self._batches(batch.rollouts, rows):
            targets = micro.pad(values), micro.pad(returns)
            loss = average(clipped_value_loss(self.model(micro), *targets, self.spec.value_clip), micro.mask_BT)
            loss.backward()  # type: ignore[no-untyped-call]
            total += float(loss.detach())
        return total

    def _step(self) -> float:
        norm = float(torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.max_grad_norm))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate_scale * self.spec.learning_rate
        if math.isfinite(norm):
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return norm

    def _batches(self, items: Sequence[Tokens], rows: Sequence[int]) -> Iterator[TokenBatch]:
        device = self.model.head.weight.device
        for group in micro_batches(items, rows, self.micro_batch_tokens):
            yield collate(items, group, device)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All that an exact resume needs: weights, and AdamW's moments of those that were updated."""
        found = {f"critic.{name}": parameter for name, parameter in self.model.named_parameters()}
        for name, parameter in self.model.named_parameters():
            state = self.optimizer.state.get(parameter, {})
            found |= {f"critic.{name}.{moment}": state[moment] for moment in MOMENTS if moment in state}
        return {name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        """Become the critic that gave these, among others."""
        self.optimizer.state.clear()
        for name, parameter in self.model.named_parameters():
            parameter.copy_(tensors[f"critic.{name}"])
            if f"critic.{name}.step" in tensors:
                state = {moment: tensors[f"critic.{name}.{moment}"].to(parameter.device) for moment in MOMENTS}
                self.optimizer.state[parameter] = state | {"step": state["step"].cpu()}


def critic_for(spec: TrainSpec, model: PreTrainedModel) -> Critic | None:
    """The objective's critic, made of the start model; None where it has none."""
    if spec.loss.recipe.advantage != "gae":
        return None
    return Critic(model, spec.loss.critic, spec.optimizer, spec.micro_batch_tokens)


def explained(values: TokenValues, returns: TokenValues) -> float:
    """1 − Var(R − V) / Var(R) over judged tokens: 1 for a perfect critic, 0 for one that says the same of all."""
    pairs = [
        (v, r) for row in zip(values, returns, strict=True) for v, r in zip(*row, strict=True) if not math.isnan(r)
    ]
    value, target = torch.tensor(pairs, dtype=torch.float64).reshape(-1, 2).unbind(-1)
    spread = float(target.var(correction=0)) if pairs else 0.0
    return 1.0 - float((target - value).var(correction=0)) / spread if spread > 0 else 0.0
