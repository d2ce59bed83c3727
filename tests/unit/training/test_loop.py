"""What the loop tells the schedule of a step."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from assay.training.loop import _counts
from assay.training.rollout import Rollout


def test_the_schedule_hears_of_judged_completions_only(make_rollout: Callable[..., Rollout]) -> None:
    """Also where only the format is rewarded, so that a failed verdict leaves the reward a number (F19)."""
    failed = make_rollout("a", [1], [2], reward=math.nan, status="timeout")
    rollouts = [
        make_rollout("a", [1], [2], reward=1.0, status="correct"),
        make_rollout("a", [1], [2], reward=0.0, status="wrong"),
        failed,
        replace(failed, reward=1.0),
        make_rollout("b", [1], [2], reward=math.nan, status="error"),
    ]
    assert _counts(rollouts) == {"toy/a": (2, 1)}
