"""The processes that train together, and what they tell one another.

Every process runs the same loop on the same rollouts, so all decide the same. What is heavy is shared out: sampling and
scoring by groups (`assay.training.shared`), forward and backward passes by completions (`assay.training.policy`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import distributed

from assay.contracts.scale import Rank

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class World:
    """This process and the others. All methods but `share` are called by every process, in the same order."""

    rank: Rank
    channel: Any = None
    """A process group of its own; None: the one that all share."""
    timeout_s: float = 0.0
    """How long the others are waited for; one alone waits for nobody."""

    def share(self, count: int) -> range:
        """Which of `count` things are this process's: dealt out in turn."""
        return range(self.rank.index, count, self.rank.of)

    def gather(self, value: T) -> list[T]:
        """What each process says, the first's first. Pickled, between processes of this very run alone."""
        if self.rank.of == 1:
            return [value]
        told: list[Any] = [None] * self.rank.of
        distributed.all_gather_object(told, value, group=self.channel)
        return told

    def first(self, value: T) -> T:
        """What the first process says: for what each measures a little differently, such as seconds."""
        return self.gather(value)[0]

    def wait(self) -> None:
        """Until all have come this far."""
        self.gather(None)

    def sum_(self, tensor: torch.Tensor) -> None:
        """Replace a tensor by its sum over the processes."""
        if self.rank.of > 1:
            distributed.all_reduce(tensor)

    def apart(self) -> World:
        """The same processes on a channel of their own, for another thread."""
        if self.rank.of == 1:
            return self
        channel = distributed.new_group(backend="gloo", timeout=timedelta(seconds=self.timeout_s))
        return replace(self, channel=channel)


ALONE = World(Rank())


@contextmanager
def joined(rank: Rank, device: torch.device, timeout_s: float) -> Iterator[World]:
    """The world of this process, while the block runs: gloo between CPUs, NCCL between GPUs."""
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    timeout = timedelta(seconds=timeout_s)
    if "MASTER_ADDR" in os.environ:
        distributed.init_process_group(backend, timeout=timeout)
    else:
        store = distributed.HashStore()  # type: ignore[attr-defined]
        distributed.init_process_group(backend, store=store, rank=rank.index, world_size=rank.of, timeout=timeout)
    yield World(rank, timeout_s=timeout_s)
    distributed.destroy_process_group()  # not after an error: NCCL would wait for the others
