"""What verdicts add up to: what the schedule hears of a step, and validation."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from assay.contracts.training import PromptSpec
from assay.training.rollout import Rollout
from assay.training.verdicts import accuracy, counts, group_sizes, problem_scores


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
    assert counts(rollouts, PromptSpec()) == {"toy/a": (2, 1)}


def test_what_nobody_could_judge_has_no_accuracy_and_is_not_wrong(make_rollout: Callable[..., Rollout]) -> None:
    """A verifier that is down must not look like a model that knows nothing (F19)."""
    failed = make_rollout("a", [1], [2], reward=math.nan, status="timeout")
    right = make_rollout("a", [1], [2], reward=1.0, status="correct")
    assert accuracy([failed, failed]) is None
    assert accuracy([]) is None
    assert accuracy([failed, right]) == 1.0


def test_a_problem_scores_what_its_judged_completions_do(make_rollout: Callable[..., Rollout]) -> None:
    """F19, F20."""
    rollouts = [
        make_rollout("a", [1], [2], reward=1.0, status="correct"),
        make_rollout("a", [1], [2], reward=0.0, status="wrong"),
        make_rollout("a", [1], [2], reward=math.nan, status="timeout"),
        make_rollout("b", [1], [2], reward=math.nan, status="error"),
    ]
    assert problem_scores(rollouts) == {"toy/a": 0.5}


def test_groups_are_told_apart_by_their_prompts(make_rollout: Callable[..., Rollout]) -> None:
    assert group_sizes([make_rollout(name, [1], [2]) for name in "aabccc"]) == [2, 1, 3]
