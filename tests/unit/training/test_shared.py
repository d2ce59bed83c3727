"""Groups are dealt out to the processes, and come back whole and in order to all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
import torch

from assay.contracts.scale import Rank
from assay.contracts.schedule import Allocation
from assay.training.rollout import Rollout
from assay.training.shared import SharedCollector
from assay.training.world import World, joined


@dataclass
class Groups:
    """Hands out the rollouts of the fixture by prompt, and remembers what it was asked for."""

    rollouts: list[Rollout]
    asked: list[str] = field(default_factory=list)
    tasks: Any = None

    def collect(self, _: str, __: int, groups: Any) -> list[Rollout]:
        self.asked += [group.prompt.id for group in groups]
        return [rollout for group in groups for rollout in self.rollouts if rollout.prompt == group.prompt]


@dataclass(frozen=True)
class Listening(World):
    """One of two processes; what the other says is known beforehand."""

    others: Any = None

    def apart(self) -> World:
        return self

    def gather(self, value: Any) -> list[Any]:
        return [value, self.others] if self.rank.leads else [self.others, value]


@pytest.mark.parametrize("index", [0, 1])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_each_collects_its_share_and_gets_all(rollouts: list[Rollout], index: int, count: int) -> None:
    prompts = list({rollout.prompt.id: rollout.prompt for rollout in rollouts}.values())[:count]
    groups = [Allocation(prompt, 4) for prompt in prompts]
    mine, other = Groups(rollouts), Groups(rollouts)
    world = Listening(Rank(index, 2), others=other.collect("", 0, groups[1 - index :: 2]))
    found = SharedCollector(mine, world).collect("rollout", 3, groups)
    assert found == [rollout for rollout in rollouts if rollout.prompt in prompts]
    assert sorted(mine.asked + other.asked) == sorted(prompt.id for prompt in prompts)
    assert set(mine.asked).isdisjoint(other.asked)


def test_sampling_waits_for_the_others_as_long_as_training_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: its channel is another one, which had torch's own half hour whatever `runtime.scale.timeout_s` was."""
    asked: list[dict[str, Any]] = []
    monkeypatch.setattr("assay.training.world.distributed.new_group", lambda **how: asked.append(how) or "its own")
    collector = SharedCollector(Groups([]), World(Rank(0, 2), timeout_s=7))
    assert asked == [{"backend": "gloo", "timeout": timedelta(seconds=7)}]
    assert collector.world == World(Rank(0, 2), "its own", 7)
    with joined(Rank(), torch.device("cpu"), 12) as world:
        assert world == World(Rank(), timeout_s=12)
