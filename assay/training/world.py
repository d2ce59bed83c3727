"""The processes that train together, and what they tell one another.

Every process runs the same loop on the same rollouts, so all decide the same. What is heavy is shared out: sampling and
scoring by groups (`SharedCollector`), forward and backward passes by completions (`assay.training.policy`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol, TypeVar

import torch
from torch import distributed

from assay.contracts.scale import Rank
from assay.contracts.schedule import Allocation
from assay.contracts.task import TaskSpec
from assay.training.rollout import Rollout

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process and the others. Every method but `share` is called by all of them, in the same order."""

    rank: Rank = Rank()

    def share(self, count: int, rank: int | None = None) -> range:
        """Which of `count` things are this process's, or another's: dealt out in turn."""
        return range(self.rank.index if rank is None else rank, count, self.rank.of)

    def gather(self, value: T) -> list[T]:
        """What each process says, the first's first."""
        if self.rank.of == 1:
            return [value]
        told: list[T | None] = [None] * self.rank.of
        distributed.all_gather_object(told, value)
        return told  # type: ignore[return-value]

    def sum_(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by its sum over the processes."""
        if self.rank.of > 1:
            distributed.all_reduce(tensor)

    def wait(self) -> None:
        """Until all have come this far."""
        self.gather(None)


@contextmanager
def joined(rank: Rank, device: torch.device, timeout_s: float) -> Iterator[World]:
    """The world of this process, while the block runs: gloo between CPUs, NCCL between GPUs."""
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_s)
    if "MASTER_ADDR" in os.environ:
        distributed.init_process_group(backend, timeout=timeout)
    else:
        store = distributed.HashStore()
        distributed.init_process_group(backend, store=store, rank=rank.index, world_size=rank.of, timeout=timeout)
    try:
        yield World(rank)
    finally:
        distributed.destroy_process_group()


class Collector(Protocol):
    """What makes the rollouts of a step: `assay.training.rollout.RolloutCollector`."""

    @property
    def tasks(self) -> Mapping[str, TaskSpec]: ...

    def collect(self, purpose: str, step: int, groups: Sequence[Allocation]) -> list[Rollout]: ...


class SharedCollector:
    """Each process collects its share of the groups, and all get all, in the order of the groups.

    So what one process alone saw, a verifier that ran out of time for instance, all of them see alike.
    """

    def __init__(self, collector: Collector, world: World) -> None:
        self.collector = collector
        self.world = world

    @property
    def tasks(self) -> Mapping[str, TaskSpec]:
        return self.collector.tasks

    def collect(self, purpose: str, step: int, groups: Sequence[Allocation]) -> list[Rollout]:
        """Rollouts of the groups, group after group."""
        mine = [groups[place] for place in self.world.share(len(groups))]
        shares = self.world.gather(self.collector.collect(purpose, step, mine) if mine else [])
        by_prompt: dict[str, list[Rollout]] = {}
        for rollout in (rollout for share in shares for rollout in share):
            by_prompt.setdefault(rollout.prompt.id, []).append(rollout)
        return [rollout for group in groups for rollout in by_prompt.get(group.prompt.id, [])]
