"""Where a step's rollouts come from: made when it needs them, or ahead of it with older weights.

With a staleness of N, step t is sampled with the weights that t − N steps have trained (the start model while t < N):

    N = 0    sample t | train t | sample t + 1 | train t + 1 | …                one after the other
    N = 1    train t | train t + 1 | …  and beside it  sample t + 1 | sample t + 2 | …

The lag is always N, however fast either side is, so a run's bytes do not depend on it; and never more than N + 1 steps
are asked for, so nothing piles up and nothing is thrown away (F14). What is sampled and not yet learnt from is kept and
is part of a checkpoint: a resumed run learns from what the killed one would have learnt from.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from itertools import count
from typing import Any, Protocol, TypeVar

import torch

from assay.contracts.records import PromptRow, Verdict
from assay.contracts.sampling import Completion, Sampler, Score
from assay.contracts.schedule import Allocation, PromptSchedule
from assay.contracts.task import TaskSpec
from assay.contracts.training import PromptSpec
from assay.training.background import PATIENCE_S, Background, awaited
from assay.training.groups import collect_groups
from assay.training.rollout import Rollout

T = TypeVar("T")
Weights = Iterable[tuple[str, torch.Tensor]]


class Collector(Protocol):
    """What makes rollouts: `assay.training.rollout.RolloutCollector`."""

    @property
    def tasks(self) -> Mapping[str, TaskSpec]: ...

    def collect(self, purpose: str, step: int, groups: Sequence[Allocation]) -> list[Rollout]: ...


@dataclass(frozen=True, slots=True)
class Made:
    """The rollouts of a step, and how many steps were trained between their weights and it."""

    rollouts: list[Rollout]
    staleness_steps: int


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Weights that `done` steps have trained; a run that goes back has others of so many steps, of another `number`."""

    number: int
    done: int
    weights: Weights


class Producer:
    """Makes the rollouts of a run, steps in order.

    `weights` gives the policy's as they are; `score` its log-probs, which a sampler is compared with when it gets them.
    """

    def __init__(
        self,
        collector: Collector,
        sampler: Sampler,
        schedule: PromptSchedule,
        weights: Callable[[], Weights],
        score: Score,
        steps: int,
        staleness_steps: int = 0,
        prompts: PromptSpec | None = None,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self.collector = collector
        self.sampler = sampler
        self.schedule = schedule
        self.weights = weights
        self.score = score
        self.staleness_steps = staleness_steps
        self.prompts = prompts or PromptSpec()
        self.steps = steps
        self.patience_s = patience_s
        self.background = Background("rollouts") if staleness_steps else None
        self.waiting: dict[int, Future[Made]] = {}
        """By step, those that are not learnt yet."""
        self.next_step = 0
        self.numbers = count()
        self.snapshot: _Snapshot | None = None
        self.loaded: int | None = None

    def look_ahead(self, done: int) -> None:
        """Ask for the steps that the weights of now, which `done` steps have trained, are to sample."""
        if self.staleness_steps:
            self._ask_up_to(done + self.staleness_steps, done)

    def take(self, step: int) -> Made:
        """The rollouts of a step, the next to be learnt: those of the steps before it are dropped, its own are kept.

        Raises what any of those asked for died of, also of later steps.
        """
        self.waiting = {other: future for other, future in self.waiting.items() if other >= step}
        self._ask_up_to(step + self.staleness_steps, step)
        for failed in (future for future in self.waiting.values() if future.done() and future.exception() is not None):
            failed.result()
        return _rollouts(self.waiting[step], f"step {step}", self.patience_s)

    def collect_now(self, purpose: str, step: int, groups: Sequence[Allocation], done: int) -> list[Rollout]:
        """Rollouts with the weights of now, for instance of the validation split."""
        future = self._submit(lambda: self.collector.collect(purpose, step, groups), done)
        return _rollouts(future, purpose, self.patience_s)

    def state(self, done: int, within_s: float | None = None) -> list[list[dict[str, Any]]]:
        """Rollouts of the steps from `done` on, as JSON. Raises StageError when they are not there in time."""
        deadline = time.monotonic() + (self.patience_s if within_s is None else within_s)
        waiting = [future for step, future in self.waiting.items() if step >= done]
        made = [_rollouts(future, "a checkpoint", deadline - time.monotonic()) for future in waiting]
        return [[_as_json(rollout) for rollout in item.rollouts] for item in made]

    def restore(self, done: int, state: Sequence[Sequence[dict[str, Any]]]) -> None:
        """Go on behind `done` steps with what a checkpoint held, instead of with what was asked for."""
        self._let_go()
        self.next_step, self.snapshot = done, None
        for rollouts in state:
            future: Future[Made] = Future()
            future.set_result(Made([_from_json(item) for item in rollouts], self._staleness(self.next_step)))
            self.waiting[self.next_step] = future
            self.next_step += 1
        self.look_ahead(done)

    def close(self) -> None:
        """End the thread. What nobody will ask for any more is broken off."""
        self._let_go()
        if self.background is not None:
            self.background.close(within_s=1.0)

    def _let_go(self) -> None:
        for future in self.waiting.values():
            future.cancel()
        self.waiting.clear()

    def _ask_up_to(self, last: int, done: int) -> None:
        while self.next_step <= min(last, self.steps - 1):
            self.waiting[self.next_step] = self._asked(self.next_step, done)
            self.next_step += 1

    def _asked(self, step: int, done: int) -> Future[Made]:
        """Groups are chosen here, where training has told the schedule all it knows; only the sampling is ahead."""
        groups, staleness = self.schedule.select(step), self._staleness(step)
        chosen = {group.prompt.id for group in groups}
        spares = self.schedule.replacements(step, chosen) if self.prompts.replacement_rounds else []

        def collect(asked: Sequence[Allocation]) -> list[Rollout]:
            return self.collector.collect("rollout", step, asked)

        return self._submit(lambda: Made(collect_groups(collect, groups, spares, self.prompts), staleness), done)

    def _staleness(self, step: int) -> int:
        return min(step, self.staleness_steps)

    def _submit(self, make: Callable[[], T], done: int) -> Future[T]:
        """Have it made with the weights that `done` steps have trained."""
        snapshot = self._weights_of(done)
        if self.background is not None:
            return self.background.submit(lambda: self._with(snapshot, None, make))
        future: Future[T] = Future()
        future.set_result(self._with(snapshot, self.score, make))
        self.sampler.rest()
        return future

    def _with(self, snapshot: _Snapshot, score: Score | None, make: Callable[[], T]) -> T:
        """A policy that moves on meanwhile cannot say what is right: then the loop compares, from time to time."""
        if self.loaded != snapshot.number:
            self.sampler.update_weights(snapshot.weights, score)
            self.loaded = snapshot.number
        return make()

    def _weights_of(self, done: int) -> _Snapshot:
        """Of the policy as it is; a copy, where the policy moves on before they are used."""
        if self.snapshot is None or self.snapshot.done != done:
            weights = self.weights()
            copied = [(name, tensor.detach().clone()) for name, tensor in weights] if self.background else weights
            self.snapshot = _Snapshot(next(self.numbers), done, copied)
        return self.snapshot


def _rollouts(future: Future[T], of: str, within_s: float) -> T:
    return awaited(future, within_s, f"{of}: its rollouts", "the sampler")


def _as_json(rollout: Rollout) -> dict[str, Any]:
    values = asdict(rollout)
    values["verdict"].pop("seconds")  # differs from run to run
    return values


def _from_json(values: dict[str, Any]) -> Rollout:
    written = values["completion"]
    completion = Completion(**written | {name: tuple(written[name]) for name in ("tokens", "logprobs")})
    parts = {"prompt": PromptRow(**values["prompt"]), "completion": completion, "verdict": Verdict(**values["verdict"])}
    return Rollout(**values | parts)
