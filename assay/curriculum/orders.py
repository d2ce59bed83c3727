"""The order in which prompts are seen: which of them a step takes.

    shuffled       every pass over the prompts is shuffled anew and takes each prompt once
    easy_to_hard   baby steps (Bengio et al. 2009; Spitkovsky et al. 2010): the run is cut in four stages; stage s draws
                   from the s easiest quarters of the prompts, so nothing learnt is dropped again
    bands          the same stages, each drawing from its own quarter alone
    mixed          every step takes as many prompts of each quarter
    self_paced     prompts that the policy, as it is now, solves about half of the time come first (AdaRFT, 2504.05520)

A step never takes a prompt twice, also where it spans two passes. All but `self_paced` are functions of seed and step.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Sequence
from itertools import zip_longest
from typing import Protocol

from assay.contracts.records import PromptRow
from assay.contracts.seeds import derive
from assay.curriculum.allocation import PassRateBelief
from assay.curriculum.quotas import Quota

STAGES = 4


class Order(Protocol):
    """Prompts of each step."""

    def select(self, step: int) -> list[PromptRow]:
        """The prompts of a step, none twice."""
        ...

    def replacements(self, step: int, chosen: Collection[str]) -> list[PromptRow]:
        """Other prompts for a step than those chosen, in the order in which they step in."""
        ...


class ShuffledOrder:
    """Pass p is a permutation of all prompts seeded by (seed, p); a step takes the next stretch of the stream."""

    def __init__(self, prompts: Sequence[PromptRow], quota: Quota, seed: int) -> None:
        self.prompts = prompts
        self.quota = quota
        self.seed = seed
        self.passes: dict[str, list[list[PromptRow]]] = {}

    def select(self, step: int) -> list[PromptRow]:
        pool, purpose, first_step = self._phase(step)
        origin = self.quota.start(first_step)
        places = range(self.quota.start(step) - origin, self.quota.start(step + 1) - origin)
        return [self._pass(pool, place // len(pool), purpose, origin)[place % len(pool)] for place in places]

    def replacements(self, step: int, chosen: Collection[str]) -> list[PromptRow]:
        pool, _, _ = self._phase(step)
        rest = [prompt for prompt in pool if prompt.id not in chosen]
        random.Random(derive(self.seed, "replacements", step)).shuffle(rest)
        return rest

    def _phase(self, step: int) -> tuple[Sequence[PromptRow], str, int]:  # noqa: ARG002
        """(prompts drawn from at a step, their branch of the seed tree, the step at which their stream begins)."""
        return self.prompts, "shuffle", 0

    def _pass(self, pool: Sequence[PromptRow], number: int, purpose: str, origin: int) -> list[PromptRow]:
        """One pass. A step that begins in the pass before and ends in this one must not meet a prompt twice, so a pass
        depends on the one before it; they are made in order and kept."""
        passes = self.passes.setdefault(purpose, [])
        while len(passes) <= number:
            place = origin + len(passes) * len(pool)
            start, end = self.quota.around(place)
            begun = place - start
            shuffled = list(pool)
            random.Random(derive(self.seed, purpose, len(pool), len(passes))).shuffle(shuffled)
            taken = passes[-1][-begun:] if begun else []
            passes.append(_led_by_others(shuffled, taken, end - place))
        return passes[number]


def _led_by_others(shuffled: Sequence[PromptRow], taken: Sequence[PromptRow], count: int) -> list[PromptRow]:
    """`shuffled` with its first `count` prompts that are not `taken` moved to the front."""
    avoided = {prompt.id for prompt in taken}
    front = [prompt for prompt in shuffled if prompt.id not in avoided][:count]
    moved = {prompt.id for prompt in front}
    return front + [prompt for prompt in shuffled if prompt.id not in moved]


class StagedOrder(ShuffledOrder):
    """Four stages over prompts that come easiest first: from quarter `first(stage)` on, up to quarter `stage`."""

    def __init__(self, prompts: Sequence[PromptRow], quota: Quota, seed: int, steps: int, widening: bool) -> None:
        super().__init__(prompts, quota, seed)
        self.stage_steps = -(-steps // STAGES)
        self.widening = widening
        self.most = max(quota.start(step + 1) - quota.start(step) for step in range(steps))

    def _phase(self, step: int) -> tuple[Sequence[PromptRow], str, int]:
        stage = min(step // self.stage_steps + 1, STAGES)
        end = max(self.most, len(self.prompts) * stage // STAGES)
        start = 0 if self.widening else min(len(self.prompts) * (stage - 1) // STAGES, end - self.most)
        return self.prompts[start:end], f"stage-{stage}", (stage - 1) * self.stage_steps


class SelfPacedOrder:
    """Drawn anew each step, without replacement, with weights p(1 − p) of the believed pass rates: those a group of
    which is likely to be mixed. Weighted draws by the Gumbel trick (Efraimidis, Spirakis 2006)."""

    def __init__(self, prompts: Sequence[PromptRow], quota: Quota, seed: int, belief: PassRateBelief) -> None:
        self.prompts = prompts
        self.quota = quota
        self.seed = seed
        self.belief = belief

    def select(self, step: int) -> list[PromptRow]:
        return self._draw(self.prompts, self.quota.start(step + 1) - self.quota.start(step), "self-paced", step)

    def replacements(self, step: int, chosen: Collection[str]) -> list[PromptRow]:
        rest = [prompt for prompt in self.prompts if prompt.id not in chosen]
        return self._draw(rest, len(rest), "replacements", step)

    def _draw(self, pool: Sequence[PromptRow], count: int, *branch: int | str) -> list[PromptRow]:
        rng = random.Random(derive(self.seed, *branch))
        keys = {prompt.id: self._log_weight(prompt) - math.log(rng.expovariate(1.0)) for prompt in pool}
        return sorted(pool, key=lambda prompt: (-keys[prompt.id], prompt.id))[:count]

    def _log_weight(self, prompt: PromptRow) -> float:
        p = self.belief.mean(prompt.id)
        return math.log(p * (1 - p))


class Blend:
    """Several orders side by side: each gives its share of every step."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self.orders = orders

    def select(self, step: int) -> list[PromptRow]:
        return [prompt for order in self.orders for prompt in order.select(step)]

    def replacements(self, step: int, chosen: Collection[str]) -> list[PromptRow]:
        """Dealt out in turn, each order's own; whoever takes one takes the next of its task, so weights are kept."""
        own = [order.replacements(step, chosen) for order in self.orders]
        return [prompt for turn in zip_longest(*own) for prompt in turn if prompt is not None]


def quarters(easiest_first: Sequence[PromptRow]) -> list[Sequence[PromptRow]]:
    """Four bands of pass rates, of equal size to within one prompt; empty ones are left out."""
    n = len(easiest_first)
    bands = [easiest_first[n * band // STAGES : n * (band + 1) // STAGES] for band in range(STAGES)]
    return [band for band in bands if band]
