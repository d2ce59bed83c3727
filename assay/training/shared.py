"""Sampling and scoring, shared out over the processes.

Each collects its share of the groups and all get all of them, in order. So whatever one process alone saw, a verifier
that ran out of time for instance, all see alike and decide alike.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from assay.contracts.schedule import Allocation
from assay.contracts.task import TaskSpec
from assay.training.producer import Collector
from assay.training.rollout import Rollout
from assay.training.world import World


class SharedCollector:
    """A `Collector` of every process's. `world` has a channel of its own: sampling may run beside training."""

    def __init__(self, collector: Collector, world: World) -> None:
        self.collector = collector
        self.world = world.apart()

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
