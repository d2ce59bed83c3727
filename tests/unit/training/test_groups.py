"""Groups are sampled on, and replaced, only as far as an arm asks; nothing that was sampled gets lost."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from assay.contracts.records import PromptRow
from assay.contracts.schedule import Allocation
from assay.contracts.training import PromptSpec
from assay.training.groups import collect_groups
from assay.training.rollout import Rollout
from assay.training.verdicts import counts, mean_pass_rate

ANSWERS = {"never": "0" * 64, "always": "1" * 64, "both": "01" * 32, "late": "0" * 20 + "1" * 44}
"""Prompt -> whether its n-th sample is right; `?` could not be judged."""


class Asked:
    """Gives the answers above, and remembers what it was asked for."""

    def __init__(self, make_rollout: Any, answers: Mapping[str, str] = ANSWERS) -> None:
        self.make_rollout = make_rollout
        self.answers = answers
        self.calls: list[list[tuple[str, range]]] = []

    def __call__(self, groups: Sequence[Allocation]) -> list[Rollout]:
        self.calls.append([(group.prompt.question, group.indices) for group in groups])
        return [self._rollout(group.prompt, index) for group in groups for index in group.indices]

    def _rollout(self, prompt: PromptRow, index: int) -> Rollout:
        right = self.answers[prompt.question][index] == "1"
        made: Rollout = self.make_rollout(
            prompt.question, [1], [2], reward=float(right), status="correct" if right else "wrong"
        )
        return replace(made, prompt=prompt, sample_index=index)


def group(name: str, samples: int = 8, task: str = "toy", number: int = 0) -> Allocation:
    return Allocation(PromptRow(f"{task}/{name}{number}", task, "train", name, "1", "all", name, [1]), samples)


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


def test_a_group_makes_room_for_one_of_its_own_task_alone(asked: Asked) -> None:
    """So what is learnt from keeps the weights of the tasks, 9:1, whichever groups teach nothing."""
    chosen = [group("never", task="a", number=i) for i in range(9)] + [group("never", task="b")]
    spares = [group("both", task=task, number=10 + i) for i in range(12) for task in "ba"]
    rollouts = collect_groups(asked, chosen, spares, PromptSpec(replacement_rounds=2))
    used = {rollout.prompt.id: rollout.prompt for rollout in rollouts if rollout.used}
    assert {prompt.question for prompt in used.values()} == {"both"}
    assert Counter(prompt.task for prompt in used.values()) == {"a": 9, "b": 1}
    assert len(asked.calls) == 2


def test_a_spare_that_teaches_goes_to_a_group_of_its_task_though_another_was_idle_first(asked: Asked) -> None:
    chosen, spares = [group("never", task="a"), group("always", task="b")], [group("both", task="b")]
    rollouts = collect_groups(asked, chosen, spares, PromptSpec(replacement_rounds=1))
    assert [r.prompt.id for r in rollouts if r.used][::8] == ["a/never0", "b/both0"]


def test_spares_are_told_from_the_prompts_that_were_chosen(asked: Asked) -> None:
    spec = PromptSpec(replacement_rounds=3)
    rollouts = collect_groups(asked, [group("never"), group("late", 24)], [group("always"), group("both")], spec)
    assert {r.prompt.question: (r.used, r.spare) for r in rollouts} == {
        "both": (True, True), "late": (True, False), "always": (False, True), "never": (False, False)
    }  # fmt: skip


def test_the_pass_rate_of_the_chosen_prompts_is_right_on_average_under_replacements(make_rollout: Any) -> None:
    """Every outcome of two chosen prompts and two spares, weighed by how likely it is. How many spares are asked for
    depends on the answers, so a mean over all prompts is off: a step that fails is counted more often."""
    right, spec, expected, with_spares = 0.14, PromptSpec(replacement_rounds=1), 0.0, 0.0
    chosen, spares = [group("a", 2), group("b", 2)], [group("c", 2), group("d", 2)]
    for a, b, c, d in product(("00", "01", "10", "11"), repeat=4):
        asked = Asked(make_rollout, {"a": a, "b": b, "c": c, "d": d})
        rollouts = collect_groups(asked, chosen, spares, spec)
        chance = math.prod(right if answer == "1" else 1 - right for answer in a + b + c + d)
        expected += chance * mean_pass_rate(counts([r for r in rollouts if not r.spare], spec))
        with_spares += chance * mean_pass_rate(counts(rollouts, spec))
    assert expected == pytest.approx(right, abs=1e-12)
    assert abs(with_spares - right) > 0.005
