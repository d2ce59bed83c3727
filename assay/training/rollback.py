"""Going back: to the newest checkpoint before things went wrong, with half the learning rates.

    checkpoint 4    step 4    step 5    step 6: a rule says that step 5 was bad already
         └── steps 4 … 6 are thrown away; the run goes on at step 4, the learning rates halved

Whatever is bad at step s was so in the weights that s steps had trained: a checkpoint is good if its own step is.
What was thrown away stays on record, marked with the number of the rollback, and is left out of every curve. The choice
is a function of the run so far, so a run that is killed on the way makes the same one again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from assay.contracts.manifest import Finding
from assay.contracts.training import TrainSpec
from assay.guards.rules import Tripped

HALF = 0.5


@dataclass(frozen=True, slots=True)
class Rollback:
    """Steps `to_step` … `from_step` − 1 were thrown away."""

    guard: str
    from_step: int
    to_step: int


def learning_rate_scale(rollbacks: Sequence[Rollback]) -> float:
    """Halved each time."""
    return HALF ** len(rollbacks)


def may_roll_back(spec: TrainSpec) -> bool:
    """Whether any rule can call for it: then the start and older checkpoints are kept for it."""
    return any(rule.action == "rollback" for rule in spec.guards.values())


def last_good(points: Sequence[int], bad_since: int) -> int | None:
    """The newest of the checkpoints that come before a bad step."""
    return max((point for point in points if point < bad_since), default=None)


def still_needed(points: Sequence[int], bad_since: int, staleness: int) -> list[int]:
    """The checkpoints that a rule could call for: the last good one and those after it."""
    good = last_good(points, sampled_since(bad_since, staleness)) or 0
    return [point for point in points if point >= good]


def sampled_since(bad_since: int, staleness: int) -> int:
    """What is bad in a step's completions was so in the weights that wrote them."""
    return max(min(bad_since, 1), bad_since - staleness)


def decide(
    call: Tripped, done: int, points: Sequence[int], before: Sequence[Rollback], staleness: int
) -> Rollback | None:
    """Where to go back to; None when the rule has used up its returns, or nothing good is left."""
    used = sum(rollback.guard == call.guard for rollback in before)
    target = last_good(points, sampled_since(call.since_step, staleness))
    return None if target is None or used >= call.rule.max_rollbacks else Rollback(call.guard, done, target)


def finding(label: str, call: Tripped, done: int, rollback: Rollback | None, before: Sequence[Rollback]) -> Finding:
    """What was done about it, in words."""
    where = f"{label}: step {done - 1}"
    failure = call.rule.failure
    if rollback is None:
        message = f"{_no_way_back(call, before)}. Lower optimizer.learning_rate, or checkpoint_every_steps"
        return Finding(id=f"rollback/{call.guard}", failure=failure, severity="error", where=where, message=message)
    message = (
        f"steps {rollback.to_step} to {rollback.from_step - 1} are thrown away; the run goes on at step "
        f"{rollback.to_step} with {HALF ** (len(before) + 1):g} of its learning rate. Compare arms with that in mind"
    )
    return Finding(id=f"rollback/{call.guard}", failure=failure, severity="warning", where=where, message=message)


def _no_way_back(call: Tripped, before: Sequence[Rollback]) -> str:
    used = sum(rollback.guard == call.guard for rollback in before)
    if used >= call.rule.max_rollbacks:
        return f"{call.guard} trips again: the run is stopped, because its {used} rollbacks are used up"
    return f"{call.guard} trips before any checkpoint is good: the run is stopped, there is nothing to go back to"
