"""Reward = Σ weight x part.

correct   the task verifier's score; NaN when the verifier failed, never 0 (F19)
format    1 when the completion holds a \\boxed{} answer, else 0
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from assay.contracts.ablation import RewardPart
from assay.contracts.records import Verdict
from assay.verifiers.extract import boxed


def reward_parts(verdict: Verdict, text: str) -> dict[RewardPart, float]:
    """Every part of one completion's reward, whether or not it carries weight."""
    failed = verdict.status in ("error", "timeout")
    return {"correct": math.nan if failed else verdict.score, "format": float(boxed(text) is not None)}


def total_reward(parts: Mapping[RewardPart, float], weights: Mapping[RewardPart, float]) -> float:
    """The weighted sum over the parts that carry weight; NaN if one of those could not be judged."""
    return sum(weight * parts[name] for name, weight in weights.items() if weight)
