"""The checkpoint a run is judged by, and those evaluated beside it."""

from __future__ import annotations

import pytest

from assay.contracts.training import TrainSpec
from assay.training.selection import (
    checkpoints_to_evaluate,
    checkpoints_to_keep,
    chosen_checkpoint,
    planned_checkpoints,
)


def test_the_chosen_checkpoint_is_the_best_on_validation_and_not_the_last() -> None:
    """F20."""
    assert chosen_checkpoint({10: 0.3, 20: 0.7, 30: 0.5}) == 20


def test_among_equals_the_earliest_is_chosen() -> None:
    """F20: it has moved least."""
    assert chosen_checkpoint({30: 0.5, 20: 0.5, 10: 0.2}) == 20


@pytest.mark.parametrize(
    ("best", "count", "expected"),
    [
        (20, 2, [20, 100]),
        (20, 3, [20, 60, 100]),
        (100, 2, [50, 100]),
        (100, 3, [20, 50, 100]),
        (100, 99, [10, 20, 30, 40, 50, 60, 70, 80, 90, 100]),
    ],
)
def test_the_others_fill_the_widest_gaps(best: int, count: int, expected: list[int]) -> None:
    """F35."""
    steps = list(range(10, 101, 10))
    validation = {step: float(step == best) for step in steps}
    assert checkpoints_to_evaluate(steps, validation, count) == expected


def test_where_nothing_was_judged_the_last_and_the_widest_gaps_are_evaluated() -> None:
    assert checkpoints_to_evaluate([10, 20, 30], {}, 2) == [10, 30]


def test_the_plan_ends_with_the_last_step() -> None:
    assert planned_checkpoints(TrainSpec(steps=50, checkpoint_every_steps=20)) == [20, 40, 50]
    assert planned_checkpoints(TrainSpec(steps=40, checkpoint_every_steps=20)) == [20, 40]
    assert planned_checkpoints(TrainSpec(steps=5, checkpoint_every_steps=20)) == [5]


def test_the_best_the_newest_and_even_shares_of_the_plan_are_kept() -> None:
    plan = list(range(10, 101, 10))
    validation = {10: 0.1, 20: 0.9, 30: 0.2, 40: 0.8, 50: 0.0, 60: 0.0, 70: 0.0}
    assert checkpoints_to_keep(validation, validation, 2, plan) == {20, 40, 50, 70}
    assert checkpoints_to_keep([10], {}, 1, plan) == {10}
