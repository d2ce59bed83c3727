"""The checkpoint a run is judged by, and those evaluated beside it."""

from __future__ import annotations

import pytest

from assay.training.selection import checkpoints_to_evaluate, chosen_checkpoint


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
