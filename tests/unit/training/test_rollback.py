"""Where a run goes back to, and what that does to its learning rate."""

from __future__ import annotations

import pytest

from assay.contracts.training import GuardRule, TrainSpec
from assay.guards.findings import ended_run
from assay.guards.rules import Tripped
from assay.training.rollback import (
    Rollback,
    decide,
    finding,
    last_good,
    learning_rate_scale,
    may_roll_back,
    still_needed,
)

RULE = GuardRule(metric="kl", warn=1.0, stop=10.0, action="rollback", max_rollbacks=2, failure="F15")


def call(since_step: int) -> Tripped:
    return Tripped("kl", RULE, since_step)


@pytest.mark.parametrize(("bad_since", "expected"), [(0, None), (1, 0), (4, 0), (5, 4), (8, 4), (9, 8)])
def test_a_checkpoint_is_good_if_its_own_step_is(bad_since: int, expected: int | None) -> None:
    """What step 4 shows is the doing of the steps before it: checkpoint 4 has it in its weights."""
    assert last_good([0, 4, 8], bad_since) == expected


def test_what_samples_show_was_so_when_they_were_written() -> None:
    assert decide(call(since_step=6), 8, [0, 4, 8], [], staleness=0) == Rollback("kl", 8, 4)
    assert decide(call(since_step=6), 8, [0, 4, 8], [], staleness=2) == Rollback("kl", 8, 0)
    assert decide(call(since_step=2), 8, [0, 4, 8], [], staleness=9) == Rollback("kl", 8, 0)


def test_a_rule_has_so_many_returns_and_no_more() -> None:
    before = [Rollback("kl", 5, 0), Rollback("ratio", 6, 4), Rollback("kl", 7, 4)]
    assert decide(call(6), 8, [0, 4], before[:2], staleness=0) is not None
    assert decide(call(6), 8, [0, 4], before, staleness=0) is None


def test_a_run_that_was_bad_from_its_first_step_has_nowhere_to_go_back_to() -> None:
    assert decide(call(0), 1, [0], [], staleness=0) is None


def test_the_rate_is_halved_each_time() -> None:
    assert [learning_rate_scale([Rollback("kl", 2, 1)] * count) for count in range(4)] == [1.0, 0.5, 0.25, 0.125]


def test_checkpoints_are_kept_from_the_last_good_one_on() -> None:
    assert still_needed([0, 2, 4, 6], bad_since=7, staleness=0) == [6]
    assert still_needed([0, 2, 4, 6], bad_since=6, staleness=0) == [4, 6]
    assert still_needed([0, 2, 4, 6], bad_since=6, staleness=2) == [2, 4, 6]
    assert still_needed([0, 2], bad_since=0, staleness=0) == [0, 2]
    assert still_needed([], bad_since=3, staleness=0) == []


def test_the_finding_says_what_is_lost_and_with_which_rate_it_goes_on() -> None:
    went = finding("arm/seed0", call(6), 8, Rollback("kl", 8, 4), [Rollback("kl", 3, 2)])
    assert (went.id, went.severity, went.failure, went.where) == ("rollback/kl", "warning", "F15", "arm/seed0: step 7")
    assert "steps 4 to 7" in went.message
    assert "0.25 of its learning rate" in went.message


def test_a_run_whose_rollbacks_are_used_up_is_one_that_a_guard_stopped() -> None:
    """Else exit code 10 and the nightly's guard alert stay silent."""
    before = [Rollback("kl", 5, 0), Rollback("ratio", 6, 4), Rollback("kl", 7, 4)]
    ended = finding("arm/seed0", call(6), 8, None, before)
    assert ended_run(ended)
    assert "the run is stopped, because its 2 rollbacks are used up" in ended.message
    nowhere = finding("arm/seed0", call(0), 1, None, [])
    assert ended_run(nowhere)
    assert "before any checkpoint is good: the run is stopped" in nowhere.message
    assert not ended_run(finding("arm/seed0", call(6), 8, Rollback("kl", 8, 4), []))


def test_nothing_is_kept_for_a_run_that_no_rule_takes_back() -> None:
    assert not may_roll_back(TrainSpec(steps=3))
    assert may_roll_back(TrainSpec(steps=3, guards={"kl": RULE}))
