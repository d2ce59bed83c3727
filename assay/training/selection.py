"""Which checkpoints are kept, which are evaluated, and which one a run is judged by.

The choice is made on the validation split alone; the held-out questions never choose what is reported of them (F20).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from assay.contracts.training import TrainSpec


def chosen_checkpoint(validation: Mapping[int, float]) -> int:
    """The step of best validation accuracy; among equals the earliest, which has moved least."""
    return best_checkpoints(validation, 1)[0]


def best_checkpoints(validation: Mapping[int, float], count: int) -> list[int]:
    """The steps of the best accuracies, the best first."""
    return sorted(validation, key=lambda step: (-validation[step], step))[:count]


def checkpoints_to_evaluate(steps: Sequence[int], validation: Mapping[int, float], count: int) -> list[int]:
    """`count` of the stored steps: the last, the best of those with an accuracy, then those that fill the widest gaps
    (F35)."""
    picked = {max(steps), *best_checkpoints(validation, 1)}
    while len(picked) < min(count, len(steps)):
        rest = [step for step in steps if step not in picked]
        picked.add(max(rest, key=lambda step: (min(abs(step - other) for other in [0, *picked]), -step)))
    return sorted(picked)


def planned_checkpoints(spec: TrainSpec) -> list[int]:
    """The steps at which a run that is left alone writes one."""
    return [*range(spec.checkpoint_every_steps, spec.steps, spec.checkpoint_every_steps), spec.steps]


def checkpoints_to_keep(
    stored: Iterable[int], validation: Mapping[int, float], count: int, planned: Sequence[int]
) -> set[int]:
    """The newest of the stored ones, the `count` best, and those nearest to `count` even shares of the plan.

    A plan and not what is stored decides what is even, so that it may be asked at any time and never wants back what it
    gave away.
    """
    steps = set(stored)
    shares = [planned[-1] * share / count for share in range(1, count + 1)]
    even = {min(planned, key=lambda step: (abs(step - share), step)) for share in shares}
    best = best_checkpoints({step: validation[step] for step in steps & validation.keys()}, count)
    return steps & {max(steps), *best, *even}
