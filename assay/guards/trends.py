"""Trends: what no single step can tell. They are metrics like any other, so rules put limits on them.

    reward_fall         share of its best level that the reward has lost                                     (F23)
    length_fall         share of its first length that the median completion has lost, unless the reward rose (F21)
    grad_norm_growth    gradient norm in units of its level before this step                                 (F21, F23)
    validation_fall_se  standard errors by which validation lies below its best while the reward holds on    (F20)

A level is an exponential mean, so that one odd step makes no trend. The state is small and JSON: a run that is killed
and resumed sees the trends of one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

NEW_WEIGHT = 0.4
"""Of the newest value in a level."""
WORTH_LOSING = 0.1
"""A reward that never got this far has nothing to lose."""
REWARD_SLACK = 0.02
"""A reward that is lower by less than this has held on."""


@dataclass(slots=True)
class _Memory:
    reward: float | None = None
    reward_first: float = 0.0
    reward_best: float = 0.0
    reward_at_best_validation: float = 0.0
    validation_best: float | None = None
    length: float | None = None
    length_first: float = 0.0
    log_grad_norm: float | None = None


class Trends:
    """The trends of one run. `validation_problems` decides what is noise in its validation accuracy."""

    def __init__(self, validation_problems: int) -> None:
        self._problems = validation_problems
        self._memory = _Memory()

    def observe(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """The trends after one step. Call once a step, in order; values that are missing or not finite change none."""
        known = {name: value for name, value in metrics.items() if math.isfinite(value)}
        trends = self._reward(known) | self._length(known) | self._gradient(known)
        return trends | self._validation(known)

    def state(self) -> dict[str, Any]:
        """What is remembered, as JSON."""
        return asdict(self._memory)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._memory = _Memory(**state)

    def _reward(self, known: Mapping[str, float]) -> dict[str, float]:
        memory = self._memory
        if "reward_mean" in known:
            memory.reward_first = known["reward_mean"] if memory.reward is None else memory.reward_first
            memory.reward = _level(memory.reward, known["reward_mean"])
            memory.reward_best = max(memory.reward_best, memory.reward)
        if memory.reward is None or memory.reward_best < WORTH_LOSING:
            return {"reward_fall": 0.0}
        return {"reward_fall": 1 - memory.reward / memory.reward_best}

    def _length(self, known: Mapping[str, float]) -> dict[str, float]:
        memory = self._memory
        if "completion_tokens_median" in known:
            memory.length_first = known["completion_tokens_median"] if memory.length is None else memory.length_first
            memory.length = _level(memory.length, known["completion_tokens_median"])
        rewarded = (memory.reward or 0.0) > memory.reward_first + REWARD_SLACK
        if memory.length is None or memory.length_first == 0 or rewarded:
            return {"length_fall": 0.0}
        return {"length_fall": max(0.0, 1 - memory.length / memory.length_first)}

    def _gradient(self, known: Mapping[str, float]) -> dict[str, float]:
        """The level is of logarithms, a geometric mean; a step without an update, norm 0, says nothing."""
        norm, before = known.get("grad_norm", 0.0), self._memory.log_grad_norm
        if norm <= 0:
            return {"grad_norm_growth": 1.0}
        self._memory.log_grad_norm = _level(before, math.log(norm))
        return {"grad_norm_growth": 1.0 if before is None else norm / math.exp(before)}

    def _validation(self, known: Mapping[str, float]) -> dict[str, float]:
        """Only at steps that validate."""
        memory, accuracy = self._memory, known.get("validation_accuracy")
        if accuracy is None:
            return {}
        reward = memory.reward or 0.0
        if memory.validation_best is None or accuracy > memory.validation_best:
            memory.validation_best, memory.reward_at_best_validation = accuracy, reward
        held = reward >= memory.reward_at_best_validation - REWARD_SLACK
        return {"validation_fall_se": self._standard_errors(memory.validation_best, accuracy) if held else 0.0}

    def _standard_errors(self, best: float, accuracy: float) -> float:
        """A fall in standard errors of a difference of two accuracies of so many problems."""
        pooled = (best + accuracy) / 2
        error = math.sqrt(2 * pooled * (1 - pooled) / self._problems)
        return (best - accuracy) / error if error > 0 else 0.0


def _level(before: float | None, value: float) -> float:
    return value if before is None else (1 - NEW_WEIGHT) * before + NEW_WEIGHT * value
