"""For every run: the last and the chosen checkpoint are evaluated, and as many as were asked for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from assay.training.selection import checkpoints_to_evaluate, chosen_checkpoint

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
