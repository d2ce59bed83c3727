"""Groups are sampled on, and replaced, only as far as an arm asks; nothing that was sampled gets lost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from assay.contracts.records import PromptRow
from assay.contracts.schedule import Allocation
from assay.contracts.training import PromptSpec
from assay.training.groups import collect_groups
from assay.training.rollout import Rollout

ANSWERS = {"never": "0" * 64, "always": "1" * 64, "both": "01" * 32, "late": "0" * 20 + "1" * 44}
"""Prompt -> whether its n-th sample is right; `?` could not be judged."""


class Asked:
    """Gives the answers above, and remembers what it was asked for."""

    def __init__(self, make_rollout: Any) -> None:
        self.make_rollout = make_rollout
        self.calls: list[list[tuple[str, range]]] = []

    def __call__(self, groups: Sequence[Allocation]) -> list[Rollout]:
        self.calls.append([(group.prompt.question, group.indices) for group in groups])
        return [self._rollout(group.prompt, index) for group in groups for index in group.indices]

    def _rollout(self, prompt: PromptRow, index: int) -> Rollout:
        right = ANSWERS[prompt.question][index] == "1"
        made: Rollout = self.make_rollout(
            prompt.question, [1], [2], reward=float(right), status="correct" if right else "wrong"
        )
        return made


def group(name: str, samples: int = 8) -> Allocation:
    return Allocation(PromptRow(f"toy/{name}", "toy", "train", name, "1", "all", name, [1]), samples)


def names(rollouts: Sequence[Rollout], used: bool) -> list[str]:
    return list(dict.fromkeys(rollout.prompt.question for rollout in rollouts if rollout.used == used))


@pytest.fixture
def asked(make_rollout: Any) -> Asked:
    return Asked(make_rollout)


def test_by_default_every_group_is_sampled_once_and_stays(asked: Asked) -> None:
    rollouts = collect_groups(asked, [group("never"), group("both")], [], PromptSpec())
    assert asked.calls == [[("never", range(8)), ("both", range(8))]]
    assert [rollout.used for rollout in rollouts] == [True] * 16


def test_chunks_go_on_until_two_right_and_two_wrong_were_seen(asked: Asked) -> None:
    """The settings of the lab runs: 2, 2, 64, in chunks of 8."""
    spec = PromptSpec(allocation="until_mixed")
    rollouts = collect_groups(asked, [group("both"), group("late"), group("never")], [], spec)
    sizes = {name: sum(rollout.prompt.question == name for rollout in rollouts) for name in ("both", "late", "never")}
    assert sizes == {"both": 8, "late": 24, "never": 64}
    assert asked.calls[1] == [("late", range(8, 16)), ("never", range(8, 16))]
    assert len(asked.calls) == 8


def test_idle_groups_make_room_for_those_that_teach(asked: Asked) -> None:
    spec = PromptSpec(replacement_rounds=1)
    rollouts = collect_groups(asked, [group("never"), group("both"), group("always")], [group("late", 24)], spec)
    assert names(rollouts, used=True) == ["late", "both", "always"]
    assert names(rollouts, used=False) == ["never"]
    assert len(rollouts) == 3 * 8 + 24


def test_a_spare_that_teaches_nothing_is_not_used_and_not_lost(asked: Asked) -> None:
    spec = PromptSpec(replacement_rounds=3)
    rollouts = collect_groups(asked, [group("never")], [group("always"), group("both")], spec)
    assert names(rollouts, used=True) == ["both"]
    assert names(rollouts, used=False) == ["always", "never"]
    assert len(asked.calls) == 3, "one spare for each idle group in each round, and none once all teach"


def test_without_spares_left_idle_groups_stay(asked: Asked) -> None:
    rollouts = collect_groups(asked, [group("never")], [], PromptSpec(replacement_rounds=2))
    assert names(rollouts, used=True) == ["never"]
