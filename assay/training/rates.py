"""The learning rate of each update: linear warm-up, then constant, linear or cosine.

With W updates of warm-up, N in all, and p = (u − W) / (N − W):

    u < W       peak · (u + 1) / W              so the first update is not lost (transformers begins at 0)
    constant    peak
    linear      low + (peak − low) · (1 − p)
    cosine      low + (peak − low) · (1 + cos πp) / 2
"""

from __future__ import annotations

import math

from assay.contracts.training import OptimizerSpec


def learning_rate(spec: OptimizerSpec, update: int, total_updates: int) -> float:
    """Rate of an update, the first being 0; `total_updates` and beyond have the lowest."""
    warmup = _warmup(spec, total_updates)
    if update < warmup:
        return spec.learning_rate * (update + 1) / warmup
    if spec.schedule == "constant":
        return spec.learning_rate
    done = min(1.0, (update - warmup) / max(1, total_updates - warmup))
    left = 1.0 - done if spec.schedule == "linear" else (1.0 + math.cos(math.pi * done)) / 2
    return spec.min_learning_rate + (spec.learning_rate - spec.min_learning_rate) * left


def _warmup(spec: OptimizerSpec, total_updates: int) -> int:
    return spec.warmup_steps if spec.warmup_share is None else math.ceil(spec.warmup_share * total_updates)
