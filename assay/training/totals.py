"""What the updates of one step looked like: sums and extremes over their micro-batches.

One transfer from the device for each micro-batch, however many figures there are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from functools import reduce

import torch

from assay.contracts.objective import Recipe
from assay.training.batching import Tokens, widths
from assay.training.losses import Importance
from assay.training.metrics import largest
from assay.training.policy import GradientStats
from assay.training.world import World


class UpdateTotals:
    """Running figures over the micro-batches and updates of one step."""

    def __init__(self) -> None:
        self.updates = self.filled = 0
        self.sums: defaultdict[str, float] = defaultdict(float)
        self.highest: defaultdict[str, float] = defaultdict(lambda: -math.inf)
        self.lowest: defaultdict[str, float] = defaultdict(lambda: math.inf)
        self.grad_norm = self.grad_rms = self.learning_rate = 0.0

    def add(
        self, loss: torch.Tensor, ratio_BT: torch.Tensor, importance: Importance, mask_BT: torch.Tensor, recipe: Recipe
    ) -> None:
        """Figures of one micro-batch, over its real tokens; a blank one has none."""
        if not mask_BT.any():
            return
        ratio = ratio_BT.detach()[mask_BT]
        raw, weight, cut = (tensor[mask_BT] for tensor in importance)
        outside = (ratio < 1 - recipe.clip_low) | (ratio > 1 + recipe.clip_high)
        sums = {"loss": loss.detach(), "tokens": mask_BT.sum(), "clipped": outside.sum(), "cut": cut.sum()}
        sums |= {"raw": raw.sum(), "weight": weight.sum(), "square": weight.square().sum()}
        highest = {"ratio": ratio.max(), "raw": raw.max(), "weight": weight.max()}
        lowest = {"raw": raw.min(), "weight": weight.min()}
        figures = [*sums.values(), *highest.values(), *lowest.values()]
        numbers = iter(torch.stack([figure.float() for figure in figures]).tolist())
        for name in sums:
            self.sums[name] += next(numbers)
        for name in highest:
            self.highest[name] = largest(self.highest[name], next(numbers))
        for name in lowest:
            self.lowest[name] = -largest(-self.lowest[name], -next(numbers))

    def laid_out(self, positions: int, items: Sequence[Tokens]) -> None:
        """How much of an update is padding: `positions` are those of this process's micro-batches, `items` all rows."""
        self.sums["positions"] += positions
        self.filled += sum(sum(widths(item)) for item in items)

    def updated(self, stats: GradientStats) -> None:
        """One optimizer update was made."""
        if not self.updates:
            self.highest["first_ratio"] = self.highest["ratio"]
        self.updates += 1
        self.grad_norm, self.grad_rms = largest(self.grad_norm, stats.norm), largest(self.grad_rms, stats.rms)
        self.learning_rate = stats.learning_rate

    def share(self, world: World) -> None:
        """Make the figures of this process those of all of them. Updates are made together, so they agree already."""
        told = world.gather((dict(self.sums), dict(self.highest), dict(self.lowest)))
        for name in {name for sums, _, _ in told for name in sums}:
            self.sums[name] = sum(sums.get(name, 0.0) for sums, _, _ in told)
        for name in {name for _, highest, _ in told for name in highest}:
            self.highest[name] = reduce(largest, (highest.get(name, -math.inf) for _, highest, _ in told))
        for name in {name for _, _, lowest in told for name in lowest}:
            self.lowest[name] = -reduce(largest, (-lowest.get(name, math.inf) for _, _, lowest in told))

    def metrics(self) -> dict[str, float]:
        """The step's update metrics. Without a single mixed group nothing is updated: no gradient, ratios 1."""
        tokens = self.sums["tokens"]
        mean = {name: self.sums[name] / tokens if tokens else 1.0 for name in ("raw", "weight")}
        highest = {name: self.highest[name] if tokens else 1.0 for name in ("ratio", "first_ratio", "raw", "weight")}
        lowest = {name: self.lowest[name] if tokens else 1.0 for name in ("raw", "weight")}
        square = self.sums["square"]
        return {
            "updates": float(self.updates),
            "loss": self.sums["loss"] / max(1, self.updates),
            "ratio_max": highest["ratio"],
            "first_ratio_max": highest["first_ratio"],
            "clip_fraction": self.sums["clipped"] / max(1, tokens),
            "importance_ratio_mean": mean["raw"],
            "importance_ratio_min": lowest["raw"],
            "importance_ratio_max": highest["raw"],
            "importance_weight_mean": mean["weight"],
            "importance_weight_min": lowest["weight"],
            "importance_weight_max": highest["weight"],
            "importance_cut_share": self.sums["cut"] / max(1, tokens),
            "importance_effective_share": self.sums["weight"] ** 2 / (tokens * square) if square else float(not tokens),
            "grad_norm": self.grad_norm,
            "grad_rms": self.grad_rms,
            "learning_rate": self.learning_rate,
            "padding_share": 1.0 - self.filled / self.sums["positions"] if self.filled else 0.0,
        }
