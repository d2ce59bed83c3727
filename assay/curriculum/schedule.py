"""From pass rates to a schedule: which prompts a step sees, in which order, with how many samples."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from assay.contracts.errors import DataError, SpecError
from assay.contracts.records import PromptRow
from assay.contracts.schedule import Allocation, PromptSchedule
from assay.contracts.seeds import derive
from assay.contracts.training import PromptSpec, TrainSpec
from assay.curriculum.allocation import PassRateBelief, allocate
from assay.curriculum.estimate import PassRate
from assay.curriculum.orders import Blend, Order, SelfPacedOrder, ShuffledOrder, StagedOrder, quarters
from assay.curriculum.quotas import EvenQuota, Quota, Seats


def make_schedule(
    prompts: Sequence[PromptRow], rates: Mapping[str, PassRate] | None, spec: TrainSpec, seed: int
) -> PromptSchedule:
    """The schedule of one run. Raises DataError when the filter leaves fewer prompts than a step needs, SpecError for
    weights of other tasks than those at hand."""
    kept = sorted(filter_prompts(prompts, rates, spec.prompts), key=lambda prompt: prompt.id)
    known = rates or {}
    belief = PassRateBelief({rate.problem_id: (rate.n, rate.c) for rate in known.values()})
    maker = _OrderMaker(spec, known, belief, len(prompts))
    weights = spec.prompts.task_weights
    whole = EvenQuota(spec.prompts_per_step)
    order = _blend_tasks(kept, weights, whole, seed, maker) if weights else maker.make(kept, whole, seed)
    return Schedule(order, belief, spec)


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


class _OrderMaker:
    """Makes the order that the spec names, over some of the prompts and with a share of every step."""

    def __init__(
        self, spec: TrainSpec, rates: Mapping[str, PassRate], belief: PassRateBelief, prompts_in_all: int
    ) -> None:
        self.spec = spec
        self.rates = rates
        self.belief = belief
        self.prompts_in_all = prompts_in_all

    def make(self, prompts: Sequence[PromptRow], quota: Quota, seed: int) -> Order:
        self._require_enough(prompts, quota)
        kind = self.spec.prompts.order
        if kind == "shuffled":
            return ShuffledOrder(prompts, quota, seed)
        if kind == "self_paced":
            return SelfPacedOrder(prompts, quota, seed, self.belief)
        easiest_first = sorted(prompts, key=lambda prompt: -self.rates[prompt.id].rate)
        if kind == "mixed":
            return self._mixed(quarters(easiest_first), quota, seed)
        return StagedOrder(easiest_first, quota, seed, self.spec.steps, widening=kind == "easy_to_hard")

    def _mixed(self, bands: Sequence[Sequence[PromptRow]], quota: Quota, seed: int) -> Order:
        seats = Seats(quota, [float(len(band)) for band in bands])
        orders: list[Order] = []
        for place, band in enumerate(bands):
            self._require_enough(band, seats.of(place))
            orders.append(ShuffledOrder(band, seats.of(place), derive(seed, "band", place)))
        return Blend(orders)

    def _require_enough(self, prompts: Sequence[PromptRow], quota: Quota) -> None:
        needed = max(quota.start(step + 1) - quota.start(step) for step in range(self.spec.steps))
        if len(prompts) < needed:
            bounds = f"[{self.spec.prompts.min_pass_rate}, {self.spec.prompts.max_pass_rate}]"
            raise DataError(
                "train.prompts",
                f"{len(prompts)} of {self.prompts_in_all} prompts have a pass rate in {bounds}, a step needs {needed}",
                "Widen the filter, add training problems or lower train.prompts_per_step",
            )


def _blend_tasks(
    prompts: Sequence[PromptRow], weights: Mapping[str, float], whole: Quota, seed: int, maker: _OrderMaker
) -> Order:
    """Every task's own order, each with its share of the steps."""
    tasks = sorted({prompt.task for prompt in prompts})
    if tasks != sorted(weights):
        problem = f"names {sorted(weights)}, the tasks with prompts are {tasks}"
        raise SpecError("train.prompts.task_weights", problem, "Give every task a weight, and no other")
    seats = Seats(whole, [weights[task] for task in tasks])
    pools = [[prompt for prompt in prompts if prompt.task == task] for task in tasks]
    return Blend([maker.make(pool, seats.of(i), derive(seed, "task", tasks[i])) for i, pool in enumerate(pools)])


class Schedule:
    """An order's prompts, each with its number of samples; pass rates are believed anew as results come in."""

    def __init__(self, order: Order, belief: PassRateBelief, spec: TrainSpec) -> None:
        self.order = order
        self.belief = belief
        self.spec = spec
        self.learns = spec.prompts.allocation == "adaptive" or spec.prompts.order == "self_paced"

    def select(self, step: int) -> list[Allocation]:
        prompts = self.order.select(step)
        sizes = self._sizes(prompts) if self.spec.prompts.allocation == "adaptive" else [self._size] * len(prompts)
        return [Allocation(prompt, size) for prompt, size in zip(prompts, sizes, strict=True)]

    def replacements(self, step: int, chosen: Collection[str]) -> list[Allocation]:
        return [Allocation(prompt, self._size) for prompt in self.order.replacements(step, chosen)]

    @property
    def _size(self) -> int:
        spec = self.spec.prompts
        return spec.until_mixed.chunk_samples if spec.allocation == "until_mixed" else self.spec.samples_per_prompt

    def _sizes(self, prompts: Sequence[PromptRow]) -> list[int]:
        chances = [self.belief.mean(prompt.id) for prompt in prompts]
        return allocate(chances, len(prompts) * self._size, most=4 * self._size)

    def observe(self, counts: Mapping[str, tuple[float, float]]) -> None:
        if self.learns:
            self.belief.observe(counts)

    def state(self) -> dict[str, Any]:
        return {"belief": self.belief.state()} if self.learns else {}

    def restore(self, state: Mapping[str, Any]) -> None:
        if self.learns:
            self.belief.restore(state["belief"])
