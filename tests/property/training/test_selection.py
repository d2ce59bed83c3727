"""For every run: the last and the chosen checkpoint are evaluated, and as many as were asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.training.selection import (
    best_checkpoints,
    checkpoints_to_evaluate,
    checkpoints_to_keep,
    chosen_checkpoint,
)

STEPS = st.lists(st.integers(1, 500), min_size=1, max_size=20, unique=True)


@given(steps=STEPS, count=st.integers(2, 25), data=st.data())
def test_the_last_and_the_chosen_checkpoint_are_always_evaluated(
    steps: list[int], count: int, data: st.DataObject
) -> None:
    """F20, F35."""
    scored = data.draw(st.lists(st.sampled_from(steps), min_size=1, unique=True))
    validation = {step: data.draw(st.sampled_from([0.0, 0.25, 0.5, 1.0])) for step in scored}
    chosen = chosen_checkpoint(validation)
    picked = checkpoints_to_evaluate(steps, validation, count)
    assert validation[chosen] == max(validation.values())
    assert all(step >= chosen for step, score in validation.items() if score == validation[chosen])
    assert {max(steps), chosen} <= set(picked) <= set(steps)
    assert len(picked) == min(count, len(steps))
    assert picked == sorted(set(picked))
    assert picked == checkpoints_to_evaluate(steps[::-1], validation, count)


@given(steps=STEPS.map(sorted), count=st.integers(2, 6), data=st.data())
def test_deleting_while_training_keeps_what_deleting_at_the_end_would(
    steps: list[int], count: int, data: st.DataObject
) -> None:
    """No checkpoint is missed later: neither a best one, nor the last, nor what evaluation asks for."""
    scores = st.sampled_from([0.0, 0.25, 0.5, 1.0])
    validation = {step: data.draw(scores) for step in steps}
    stored: set[int] = set()
    for step in steps:
        stored = checkpoints_to_keep(stored | {step}, validation, count, steps)
        assert step in stored
    assert stored == checkpoints_to_keep(steps, validation, count, steps)
    assert {steps[-1], *best_checkpoints(validation, count)} <= stored
    assert len(stored) <= 2 * count + 1
    assert chosen_checkpoint({step: validation[step] for step in stored}) == chosen_checkpoint(validation)
    assert len(checkpoints_to_evaluate(sorted(stored), validation, count)) == min(count, len(stored), len(steps))
