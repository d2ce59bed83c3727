"""What verdicts on a step's completions add up to; one whose verifier failed is neither right nor wrong (F19)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby
from statistics import fmean

from assay.training.rollout import Rollout


def accuracy(rollouts: Sequence[Rollout]) -> float | None:
    """Mean score of the judged completions; None when not one was judged, which is no accuracy of 0."""
    judged = [rollout.parts["correct"] for rollout in rollouts if _is_judged(rollout)]
    return fmean(judged) if judged else None


def counts(rollouts: Sequence[Rollout]) -> dict[str, tuple[int, int]]:
    """Prompt id -> (judged, correct)."""
    found: dict[str, tuple[int, int]] = {}
    for rollout in filter(_is_judged, rollouts):
        judged, correct = found.get(rollout.prompt.id, (0, 0))
        found[rollout.prompt.id] = (judged + 1, correct + (rollout.verdict.status == "correct"))
    return found


def group_sizes(rollouts: Sequence[Rollout]) -> list[int]:
    """Completions of each prompt, in order; those of a prompt lie together."""
    return [len(list(group)) for _, group in groupby(rollouts, key=lambda rollout: rollout.prompt.id)]


def _is_judged(rollout: Rollout) -> bool:
    return not math.isnan(rollout.parts["correct"])
