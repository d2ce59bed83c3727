"""Trends: what no single step can tell. They are metrics like any other, so rules put limits on them.

    reward_fall         share of what it had to lose that the reward has lost since its best level                 (F23)
    length_fall         share of its longest level that the median completion has lost, unless that pays          (F21)
    grad_norm_growth    gradient norm in units of its level before this step                                      (F23)
    mixed_group_level   level of the share of groups that teach
    validation_fall_se  standard errors by which validation lies below its best while the reward holds on         (F20)

A level is an exponential mean, so that one odd step makes no trend; it reaches back the further, the fewer prompts a
step has. What noise explains is no trend either. The state is small and JSON: a run that is killed and resumed sees the
trends of one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from statistics import fmean
from typing import Any

NEW_WEIGHT, ENOUGH_PROMPTS = 0.4, 16
"""Of the newest value in a level, where a step has so many prompts; in proportion where it has fewer."""
NOISE_SE = 2.5
"""A fall of the reward by fewer standard errors is noise."""
SPREADS = 2.0
"""A reward that can be negative has nothing left to lose so many standard deviations below its best level."""
SHORT_TOKENS = 1.0
"""A median at which completions are over before they begin: no reward excuses it (F21)."""
SMALL_GRAD_NORM = 0.05
"""A level below it counts as this one: twenty times as much is a norm of 1, where gradients are usually clipped."""


@dataclass(slots=True)
class _Memory:
    levels: dict[str, float] = field(default_factory=dict)
    """By metric."""
    steps: dict[str, int] = field(default_factory=dict)
    """Values in each level."""
    reward_lowest: float = 0.0
    """The lowest of all steps, 0 if none was negative."""
    reward_first: float | None = None
    reward_best: float = 0.0
    to_lose: float = 0.0
    """What lay between the best level and nothing, or the worst, when it was reached."""
    best_spread: float = 0.0
    """Standard deviation of the completions' rewards when the best level was reached."""
    longest: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)
    """Level of every problem's score."""
    validation_best: dict[str, float] = field(default_factory=dict)
    """The same when their mean was highest."""
    reward_at_best_validation: float = 0.0


class Trends:
    """The trends of one run. `prompts_per_step` decides what is noise in a step."""

    def __init__(self, prompts_per_step: int) -> None:
        self._prompts = prompts_per_step
        self._weight = NEW_WEIGHT * min(1.0, prompts_per_step / ENOUGH_PROMPTS)
        self._memory = _Memory()

    def observe(self, metrics: Mapping[str, float], scores: Mapping[str, float]) -> dict[str, float]:
        """The trends after one step. Call once a step, in order; values that are missing or not finite change none.

        `scores`: validation problem -> mean score of its completions; empty at a step that does not validate.
        """
        known = {name: value for name, value in metrics.items() if math.isfinite(value)}
        trends = self._reward(known) | self._length(known) | self._gradient(known) | self._signal(known)
        return trends | self._validation(scores)

    @property
    def knows_gradient(self) -> bool:
        """Whether a step has had a gradient yet, other than the KL term's alone."""
        return "log_grad_norm" in self._memory.levels

    def state(self) -> dict[str, Any]:
        """What is remembered, as JSON."""
        return asdict(self._memory)

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        self._memory = _Memory(**state)

    def _level(self, name: str, known: Mapping[str, float]) -> float | None:
        """A metric's level with its newest value; None while it is of too few steps to tell anything."""
        memory = self._memory
        if name in known:
            memory.steps[name] = memory.steps.get(name, 0) + 1
            weight = max(self._weight, 1 / memory.steps[name])
            memory.levels[name] = (1 - weight) * memory.levels.get(name, 0.0) + weight * known[name]
        return memory.levels[name] if memory.steps.get(name, 0) >= 1 / self._weight else None

    def _reward(self, known: Mapping[str, float]) -> dict[str, float]:
        memory = self._memory
        spread = self._level("reward_std", known) or 0.0
        reward = self._level("reward_mean", known)
        memory.reward_lowest = min(memory.reward_lowest, known.get("reward_mean", 0.0))
        if reward is None:
            return {"reward_fall": 0.0}
        if memory.reward_first is None or reward > memory.reward_best:
            self._best_reward(reward, spread)
        fall = memory.reward_best - reward
        lost = fall > NOISE_SE * self._reward_se() and memory.to_lose > 0
        return {"reward_fall": fall / memory.to_lose if lost else 0.0}

    def _best_reward(self, reward: float, spread: float) -> None:
        """A reward that was never negative can fall to 0; any other, by a few of its standard deviations."""
        memory = self._memory
        memory.reward_first = reward if memory.reward_first is None else memory.reward_first
        memory.reward_best, memory.best_spread = reward, spread
        memory.to_lose = max(abs(reward), SPREADS * spread) if memory.reward_lowest < 0 else reward

    def _reward_se(self) -> float:
        """Standard error of a difference of two reward levels. Completions of one prompt count as one: no less."""
        spreads = math.hypot(self._memory.best_spread, self._memory.levels.get("reward_std", 0.0))
        return spreads * math.sqrt(self._weight / (2 - self._weight) / self._prompts)

    def _length(self, known: Mapping[str, float]) -> dict[str, float]:
        """Shorter answers pay where the reward is at its best, and that is more than it was at first."""
        memory, length = self._memory, self._level("completion_tokens_median", known)
        if length is None:
            return {"length_fall": 0.0}
        memory.longest = max(memory.longest, length)
        short = known.get("completion_tokens_median", length) <= SHORT_TOKENS
        excused = memory.longest == 0 or (self._pays() and not short)
        return {"length_fall": 0.0 if excused else 1 - length / memory.longest}

    def _pays(self) -> bool:
        memory, error = self._memory, self._reward_se()
        if memory.reward_first is None:
            return False
        reward = memory.levels["reward_mean"]
        return reward > memory.reward_first + error and memory.reward_best - reward <= NOISE_SE * error

    def _gradient(self, known: Mapping[str, float]) -> dict[str, float]:
        """The level is of logarithms, a geometric mean, and of steps with a mixed group: without one there is no
        gradient, or the little one of the KL term."""
        norm, before = known.get("grad_norm", 0.0), self._memory.levels.get("log_grad_norm")
        if norm > 0 and known.get("mixed_group_share", 1.0) > 0:
            self._level("log_grad_norm", {"log_grad_norm": math.log(norm)})
        return {"grad_norm_growth": 1.0 if before is None else norm / max(math.exp(before), SMALL_GRAD_NORM)}

    def _signal(self, known: Mapping[str, float]) -> dict[str, float]:
        level = self._level("mixed_group_share", known)
        return {"mixed_group_level": 1.0 if level is None else level}

    def _validation(self, scores: Mapping[str, float]) -> dict[str, float]:
        """Only at steps that validate."""
        memory = self._memory
        if not scores:
            return {}
        new = {name: (1 - NEW_WEIGHT) * memory.validation.get(name, score) + NEW_WEIGHT * score
               for name, score in scores.items()}  # fmt: skip
        memory.validation = memory.validation | new
        reward = memory.levels.get("reward_mean", 0.0)
        if not memory.validation_best or _gained(memory.validation_best, memory.validation) > 0:
            memory.validation_best, memory.reward_at_best_validation = memory.validation, reward
        held = reward >= memory.reward_at_best_validation - self._reward_se()
        return {"validation_fall_se": paired_fall_se(memory.validation_best, memory.validation) if held else 0.0}


def _gained(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """Mean difference over the problems of both."""
    return fmean(after[name] - score for name, score in before.items())


def paired_fall_se(before: Mapping[str, float], after: Mapping[str, float]) -> float:
    """By how many standard errors scores fell: of the mean of the problems' own differences.

    Problems are the same ones each time, so how hard each is cancels out. The differences are taken to vary by no less
    than if one problem alone had changed, from right to wrong: a handful that fall alike prove little.
    """
    falls = [score - after[name] for name, score in before.items()]
    if len(falls) < 2:
        return 0.0
    mean = fmean(falls)
    squares = max(1.0, sum((fall - mean) ** 2 for fall in falls))
    return mean / math.sqrt(squares / (len(falls) * (len(falls) - 1)))
