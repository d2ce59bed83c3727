"""Which checkpoints are evaluated, and which one a run is judged by.

The choice is made on the validation split alone; the held-out questions never choose what is reported of them (F20).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def chosen_checkpoint(validation: Mapping[int, float]) -> int:
    """The step of best validation accuracy; among equals the earliest, which has moved least."""
    return min(validation, key=lambda step: (-validation[step], step))


def checkpoints_to_evaluate(steps: Sequence[int], validation: Mapping[int, float], count: int) -> list[int]:
    """`count` of the stored steps: the last, the chosen one, then those that fill the widest gaps (F35)."""
    picked = {max(steps), chosen_checkpoint(validation)}
    while len(picked) < min(count, len(steps)):
        rest = [step for step in steps if step not in picked]
        picked.add(max(rest, key=lambda step: (min(abs(step - other) for other in [0, *picked]), -step)))
    return sorted(picked)
