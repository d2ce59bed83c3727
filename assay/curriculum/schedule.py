"""From pass rates to a schedule: which prompts a step sees, in which order, with how many samples.

Shuffled: every pass over the prompts is shuffled anew and takes each prompt once, also where a step spans two passes.
Easy to hard: baby steps (Bengio et al. 2009; Spitkovsky et al. 2010). The run is cut in four stages; stage s draws from
the s easiest quarters of the prompts, so nothing learnt is dropped again.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from typing import Any

from assay.contracts.errors import DataError
from assay.contracts.records import PromptRow
from assay.contracts.schedule import Allocation, PromptSchedule
from assay.contracts.seeds import derive
from assay.contracts.training import PromptSpec, TrainSpec
from assay.curriculum.allocation import PassRateBelief, allocate
from assay.curriculum.estimate import PassRate

STAGES = 4


def make_schedule(
    prompts: Sequence[PromptRow], rates: Mapping[str, PassRate] | None, spec: TrainSpec, seed: int
) -> PromptSchedule:
    """The schedule of one run. Raises DataError when the filter leaves fewer prompts than a step needs."""
    kept = filter_prompts(prompts, rates, spec.prompts)
    if len(kept) < spec.prompts_per_step:
        raise DataError(
            "train.prompts",
            f"{len(kept)} of {len(prompts)} prompts have a pass rate in [{spec.prompts.min_pass_rate}, "
            f"{spec.prompts.max_pass_rate}], a step needs {spec.prompts_per_step}",
            "Widen the filter, add training problems or lower train.prompts_per_step",
        )
    by_id = sorted(kept, key=lambda prompt: prompt.id)
    known = rates or {}
    if spec.prompts.order == "easy_to_hard":
        ordered: ShuffledOrder = EasyToHardOrder(sorted(by_id, key=lambda prompt: -known[prompt.id].rate), spec, seed)
    else:
        ordered = ShuffledOrder(by_id, spec, seed)
    return AdaptiveSchedule(ordered, known, spec) if spec.prompts.allocation == "adaptive" else ordered


def filter_prompts(
    prompts: Sequence[PromptRow], rates: Mapping[str, PassRate] | None, spec: PromptSpec
) -> list[PromptRow]:
    """Prompts whose base pass rate lies within the bounds. Raises DataError for prompts the curriculum lacks (F06)."""
    if rates is None:
        return list(prompts)
    unknown = [prompt.id for prompt in prompts if prompt.id not in rates]
    if unknown:
        problem = f"{len(unknown)} training prompts have no pass rate: {unknown[:5]}"
        raise DataError("curriculum", problem, "Build the curriculum from the same prepared data")
    return [prompt for prompt in prompts if spec.min_pass_rate <= rates[prompt.id].rate <= spec.max_pass_rate]


class ShuffledOrder:
    """Pass p is a permutation of all prompts seeded by (seed, p); a step takes the next stretch of the stream."""

    def __init__(self, prompts: Sequence[PromptRow], spec: TrainSpec, seed: int) -> None:
        self.prompts = prompts
        self.spec = spec
        self.seed = seed
        self.passes: dict[str, list[list[PromptRow]]] = {}

    def select(self, step: int) -> list[Allocation]:
        return self._take(self.prompts, step * self.spec.prompts_per_step, "shuffle")

    def _take(self, pool: Sequence[PromptRow], start: int, purpose: str) -> list[Allocation]:
        """The next prompts_per_step prompts of the endless stream of shuffled passes over `pool`."""
        places = range(start, start + self.spec.prompts_per_step)
        chosen = [self._pass(pool, place // len(pool), purpose)[place % len(pool)] for place in places]
        return [Allocation(prompt, self.spec.samples_per_prompt) for prompt in chosen]

    def _pass(self, pool: Sequence[PromptRow], number: int, purpose: str) -> list[PromptRow]:
        """One pass. A step that begins in the pass before and ends in this one must not meet a prompt twice, so a pass
        depends on the one before it; they are made in order and kept."""
        passes = self.passes.setdefault(purpose, [])
        while len(passes) <= number:
            begun = len(passes) * len(pool) % self.spec.prompts_per_step
            shuffled = list(pool)
            random.Random(derive(self.seed, purpose, len(pool), len(passes))).shuffle(shuffled)
            taken = passes[-1][-begun:] if begun else []
            passes.append(_led_by_others(shuffled, taken, self.spec.prompts_per_step - begun))
        return passes[number]

    def observe(self, counts: Mapping[str, tuple[int, int]]) -> None:
        """Order does not depend on results."""

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing is kept: the order is a function of seed and step."""


def _led_by_others(shuffled: Sequence[PromptRow], taken: Sequence[PromptRow], count: int) -> list[PromptRow]:
    """`shuffled` with its first `count` prompts that are not `taken` moved to the front."""
    avoided = {prompt.id for prompt in taken}
    front = [prompt for prompt in shuffled if prompt.id not in avoided][:count]
    moved = {prompt.id for prompt in front}
    return front + [prompt for prompt in shuffled if prompt.id not in moved]


class EasyToHardOrder(ShuffledOrder):
    """Baby steps over prompts that come easiest first: stage s of four draws from the s easiest quarters."""

    def select(self, step: int) -> list[Allocation]:
        stage_steps = -(-self.spec.steps // STAGES)
        stage = min(step // stage_steps + 1, STAGES)
        size = max(self.spec.prompts_per_step, len(self.prompts) * stage // STAGES)
        start = (step % stage_steps) * self.spec.prompts_per_step
        return self._take(self.prompts[:size], start, f"stage-{stage}")


class AdaptiveSchedule:
    """Another schedule's prompts, with samples moved to where a mixed group is likely."""

    def __init__(self, inner: PromptSchedule, rates: Mapping[str, PassRate], spec: TrainSpec) -> None:
        self.inner = inner
        self.spec = spec
        self.belief = PassRateBelief({rate.problem_id: (rate.n, rate.c) for rate in rates.values()})

    def select(self, step: int) -> list[Allocation]:
        groups = self.inner.select(step)
        chances = [self.belief.mean(group.prompt.id) for group in groups]
        budget = len(groups) * self.spec.samples_per_prompt
        sizes = allocate(chances, budget, most=4 * self.spec.samples_per_prompt)
        return [Allocation(group.prompt, size) for group, size in zip(groups, sizes, strict=True)]

    def observe(self, counts: Mapping[str, tuple[int, int]]) -> None:
        self.belief.observe(counts)
        self.inner.observe(counts)

    def state(self) -> dict[str, Any]:
        return {"belief": self.belief.state(), "inner": self.inner.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.belief.restore(state["belief"])
        self.inner.restore(state["inner"])
