"""A guard warns once, stops in time, and decides the same after a kill."""

from __future__ import annotations

import json
import math

import pytest

from assay.contracts.training import GuardRule, default_guards
from assay.guards.rules import Guards, Outcome
from assay.guards.trends import Trends

KL = GuardRule(metric="kl", warn=1.0, stop=10.0, patience_steps=3, failure="F22")
HEALTHY = {
    "kl": 0.01, "ratio_max": 1.3, "entropy": 0.6, "grad_norm": 0.8, "completion_tokens_median": 40.0,
    "truncated_share": 0.0, "repetition_share": 0.0, "duplicate_excess_share": 0.0, "verifier_failed_share": 0.0,
}  # fmt: skip


def play(values: list[float], rule: GuardRule = KL) -> list[Outcome]:
    guards = Guards({"kl": rule})
    return [guards.check(step, {rule.metric: value}) for step, value in enumerate(values)]


def test_a_warning_is_given_when_the_limit_is_reached_and_not_again_until_it_was_left() -> None:
    warned = [bool(outcome.findings) for outcome in play([0.5, 2, 2, 0.5, 2])]
    assert warned == [False, True, False, False, True]


def test_a_run_stops_after_patience_steps_in_a_row() -> None:
    assert [outcome.stop for outcome in play([20, 20, 2, 20, 20, 20])] == [False] * 5 + [True]


def test_the_finding_names_metric_value_limit_step_and_failure() -> None:
    (finding,) = play([20, 20, 20])[2].findings
    assert (finding.id, finding.failure, finding.severity, finding.where) == ("guard/kl", "F22", "error", "step 2")
    assert "kl is 20, above 10 since step 0; the run is stopped" in finding.message


def test_a_labelled_run_is_named_in_its_findings() -> None:
    (finding,) = Guards({"kl": KL}, label="grpo/seed1").check(7, {"kl": 2.0}).findings
    assert finding.where == "grpo/seed1: step 7"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_value_that_is_not_finite_stops_at_once(value: float) -> None:
    """F15: the run went on for hours after NaN."""
    outcome = play([0.1, value])[1]
    assert outcome.stop
    assert outcome.findings[0].failure == "F15"


@pytest.mark.parametrize("value", [20.0, math.nan])
def test_a_rule_that_only_warns_says_so_once_and_goes_on(value: float) -> None:
    outcomes = play([0.5, 20, 20, value, value, value, 0.5], KL.model_copy(update={"action": "warn"}))
    assert not any(outcome.stop or outcome.rollback for outcome in outcomes)
    assert [item.severity for outcome in outcomes for item in outcome.findings] == ["warning", "warning"]
    assert "the run goes on" in outcomes[3].findings[0].message


def test_a_rule_that_rolls_back_says_which_steps_are_bad() -> None:
    outcomes = play([0.5, 20, 0.5, 20, 20, 20], KL.model_copy(update={"action": "rollback"}))
    assert [outcome.rollback is not None for outcome in outcomes] == [False] * 5 + [True]
    call = outcomes[5].rollback
    assert call is not None
    assert (call.guard, call.since_step) == ("kl", 3)
    assert outcomes[5].findings[0].severity == "warning"


def test_not_a_number_is_bad_from_its_own_step_on() -> None:
    call = play([0.5, math.nan], KL.model_copy(update={"action": "rollback"}))[1].rollback
    assert call is not None
    assert call.since_step == 1


def test_a_stop_goes_before_a_rollback_and_of_two_rollbacks_the_one_that_goes_back_further() -> None:
    back = KL.model_copy(update={"action": "rollback"})
    slow, fast = back.model_copy(update={"patience_steps": 4}), back.model_copy(update={"stop": 30.0})
    guards = Guards({"fast": fast, "slow": slow})
    calls = [guards.check(step, {"kl": value}).rollback for step, value in enumerate([20.0, 40.0, 40.0, 40.0])]
    assert calls[3] is not None
    assert (calls[3].guard, calls[3].since_step) == ("slow", 0)
    both = Guards({"back": back, "end": KL})
    last = [both.check(step, {"kl": 20.0}) for step in range(3)][-1]
    assert last.stop
    assert last.rollback is None


def test_the_other_side_counts_downwards() -> None:
    rule = GuardRule(metric="entropy", side="below", warn=0.02, stop=0.002, patience_steps=2)
    outcomes = play([0.5, 0.01, 0.001, 0.001], rule)
    assert [outcome.stop for outcome in outcomes] == [False, False, False, True]
    assert outcomes[1].findings[0].severity == "warning"


@pytest.mark.parametrize("killed_after", range(7))
def test_a_killed_run_decides_as_one_that_was_not(killed_after: int) -> None:
    values = [0.1, 2.0, 20.0, 20.0, 3.0, 20.0, 20.0, 20.0]
    before, after = Guards({"kl": KL}), Guards({"kl": KL})
    outcomes = [before.check(step, {"kl": value}) for step, value in enumerate(values[:killed_after])]
    after.restore(json.loads(json.dumps(before.state())))
    outcomes += [after.check(step, {"kl": value}) for step, value in enumerate(values) if step >= killed_after]
    assert outcomes == play(values)


def test_the_default_rules_let_a_healthy_run_pass() -> None:
    guards = Guards(default_guards())
    assert [guards.check(step, HEALTHY) for step in range(20)] == [Outcome([], [])] * 20


@pytest.mark.parametrize(
    ("failure", "collapse"),
    [
        ("F15", {"kl": 2685.0}),
        ("F22", {"kl": 9748.0, "entropy": 0.008}),
        ("F21", {"grad_norm": 148.0, "completion_tokens_median": 1.0}),
        ("F24", {"ratio_max": 21.75, "repetition_share": 0.9}),
        ("F32", {"kl": 1557.0, "truncated_share": 0.95}),
        ("F01", {"duplicate_excess_share": 0.96}),
        ("F19", {"verifier_failed_share": 1.0}),
    ],
)
def test_the_default_rules_stop_every_collapse_of_the_failure_list(failure: str, collapse: dict[str, float]) -> None:
    """F01, F15, F19, F21, F22, F24, F32 with the numbers of their notebooks."""
    guards, trends = Guards(default_guards()), Trends(validation_problems=64)
    rows = [HEALTHY | (collapse if step >= 10 else {}) for step in range(20)]
    outcomes = [guards.check(step, row | trends.observe(row)) for step, row in enumerate(rows)]
    stopped = next(step for step, outcome in enumerate(outcomes) if outcome.stop)
    seen = {finding.failure for outcome in outcomes[: stopped + 1] for finding in outcome.findings}
    assert stopped <= 15
    assert failure in seen
