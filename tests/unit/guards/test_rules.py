"""A guard warns once, stops in time, and decides the same after a kill."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from assay.contracts.training import KNOWN_FAILURES, GuardRule, TrainSpec, default_guards
from assay.guards.findings import ended_run, finding
from assay.guards.rules import MUST_BE_FINITE, Guards, Outcome
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


NAN = [0.1, math.nan]


@pytest.mark.parametrize("metric", MUST_BE_FINITE)
def test_losses_and_gradients_are_finite_whether_or_not_a_rule_watches_them(metric: str) -> None:
    """F15: `loss` and the critic's figures were NaN for a whole run."""
    outcome = [Guards({"kl": KL}).check(step, {metric: value}) for step, value in enumerate(NAN)][1]
    assert outcome.stop
    assert [(item.id, item.failure) for item in outcome.findings] == [(f"guard/finite_{metric}", "F15")]


def test_what_is_not_finite_rolls_back_where_other_rules_do() -> None:
    back = KL.model_copy(update={"action": "rollback", "max_rollbacks": 3})
    call = Guards({"kl": back}).check(4, {"loss": math.nan}).rollback
    assert call is not None
    assert (call.guard, call.since_step, call.rule.max_rollbacks) == ("finite_loss", 4, 3)


def test_a_rule_of_the_users_goes_before_the_one_for_what_is_not_finite() -> None:
    outcome = play(NAN, GuardRule(metric="loss", warn=1e3, stop=1e4, action="warn"))[1]
    assert not outcome.stop


@pytest.mark.parametrize("metric", ["reward_mean", "reward_std", "pass_rate"])
def test_a_step_without_a_verdict_says_nothing_about_rewards(metric: Any) -> None:
    """F19: a verifier that was down for one step is no F15."""
    assert play(NAN, GuardRule(metric=metric, side="below", warn=0.0, stop=0.0))[1] == Outcome([], [])


@pytest.mark.parametrize("metric", ["logprob_gap_mean", "logprob_gap_max"])
def test_completions_of_older_weights_say_nothing_about_trainer_and_sampler(metric: Any) -> None:
    """F25: with a lag of two the policy itself has moved on."""
    guards = Guards({"drift": GuardRule(metric=metric, warn=0.05, stop=0.3, patience_steps=1)})
    assert guards.check(0, {metric: 0.35, "staleness_steps": 2.0}) == Outcome([], [])
    assert guards.check(1, {metric: 0.35, "staleness_steps": 0.0}).stop


def test_a_rule_judges_from_its_first_step_on() -> None:
    late = KL.model_copy(update={"from_step": 2, "patience_steps": 1})
    assert [outcome.stop for outcome in play([20, 20, 20], late)] == [False, False, True]


DEFAULTS = [
    # rule, metric, at warn, at stop, steps at stop, action, failure
    ("kl", "kl", 1.0, 10.0, 2, "stop", "F15"),
    ("kl_spike", "kl", 100.0, 1_000.0, 2, "warn", "F32"),
    ("kl_max", "kl_max", 200.0, 5_000.0, 2, "stop", "F22"),
    ("ratio", "ratio_max", 5.0, 20.0, 2, "stop", "F24"),
    ("entropy", "entropy", 0.02, 0.01, 3, "stop", "F22"),
    ("gradient", "grad_norm", 20.0, 200.0, 3, "stop", "F21"),
    ("gradient_growth", "grad_norm_growth", 20.0, 200.0, 2, "stop", "F23"),
    ("reward", "reward_fall", 0.6, 0.8, 2, "stop", "F23"),
    ("divergence", "validation_fall_se", 3.0, 4.0, 2, "stop", "F20"),
    ("length", "length_fall", 0.6, 0.8, 2, "stop", "F21"),
    ("truncation", "truncated_share", 0.1, 0.9, 5, "stop", "F32"),
    ("repetition", "repetition_share", 0.1, 0.5, 2, "stop", "F24"),
    ("distinct", "distinct_share", 0.3, 0.1, 2, "stop", "F24"),
    ("duplicates", "duplicate_excess_share", 0.1, 0.5, 1, "stop", "F01"),
    ("signal", "mixed_group_level", 0.1, 0.003, 2, "stop", ""),
    ("staleness", "staleness_steps", 8.0, 64.0, 2, "stop", "F14"),
    ("drift", "logprob_gap_mean", 0.05, 0.3, 2, "stop", "F25"),
    ("verifier", "verifier_failed_share", 0.01, 0.2, 2, "stop", "F19"),
]


def test_the_table_holds_every_default_rule() -> None:
    assert [row[0] for row in DEFAULTS] == list(default_guards())


@pytest.mark.parametrize(
    ("name", "metric", "warn", "stop", "patience", "action", "failure"), DEFAULTS, ids=[row[0] for row in DEFAULTS]
)
def test_every_default_rule_warns_and_acts_at_its_limits(
    name: str, metric: str, warn: float, stop: float, patience: int, action: str, failure: str
) -> None:
    """Among all the others: just before `warn` nothing, at `warn` its name, at `stop` its action in time."""
    guards, step = Guards(default_guards()), 100
    short = warn * (1 - 1e-6) if stop >= warn else warn * (1 + 1e-6)
    if name != "kl_spike":  # `kl` has warned long before
        assert guards.check(step, HEALTHY | {metric: short}) == Outcome([], [])
    (told,) = guards.check(step + 1, HEALTHY | {metric: warn}).findings
    assert (told.id, told.failure, told.severity) == (f"guard/{name}", failure, "warning")
    outcomes = [guards.check(step + 2 + i, HEALTHY | {metric: stop}) for i in range(patience)]
    called = [[call.rule.action for call in outcome.tripped if call.guard == name] for outcome in outcomes]
    assert called == [[]] * (patience - 1) + [[action]]
    assert name == "kl_spike" or outcomes[-1].findings[0].id == f"guard/{name}"


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
    guards, trends = Guards(default_guards()), Trends(prompts_per_step=32)
    rows = [HEALTHY | (collapse if step >= 10 else {}) for step in range(20)]
    outcomes = [guards.check(step, row | trends.observe(row, {})) for step, row in enumerate(rows)]
    stopped = next(step for step, outcome in enumerate(outcomes) if outcome.stop)
    seen = {finding.failure for outcome in outcomes[: stopped + 1] for finding in outcome.findings}
    assert stopped <= 15
    assert failure in seen


@pytest.mark.parametrize("limit", ["warn", "stop"])
@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_limits_are_finite(limit: str, value: float) -> None:
    """`stop: .inf` passed, and ended in a message about JSON."""
    with pytest.raises(ValidationError, match="finite number"):
        GuardRule.model_validate({"metric": "kl", "warn": 1.0, "stop": 2.0, limit: value})


def test_a_rule_names_a_failure_that_is_known() -> None:
    with pytest.raises(ValidationError, match=r"'F99' is not in docs/reference/failures\.md; name one of F01 to F35"):
        GuardRule(metric="kl", warn=1.0, stop=2.0, failure="F99")


def test_known_failures_are_those_of_the_reference() -> None:
    text = (Path(__file__).parents[3] / "docs/reference/failures.md").read_text("utf-8")
    assert set(re.findall(r"^\| (F\d\d) ", text, re.MULTILINE)) == KNOWN_FAILURES


@pytest.mark.parametrize("name", ["", "a/b", "kl ", "-kl"])
def test_names_of_rules_are_words(name: str) -> None:
    """They become the ids of findings."""
    with pytest.raises(ValidationError, match="use letters, digits, - and _ alone"):
        TrainSpec(steps=3, guards={name: KL})


@pytest.mark.parametrize(
    ("identity", "severity", "ended"),
    [("guard/kl", "error", True), ("rollback/kl", "error", True), ("rollback/kl", "warning", False),
     ("guard/kl", "warning", False), ("F15/kl", "error", False)],
)  # fmt: skip
def test_a_guard_ended_a_run_by_its_stop_or_by_its_last_rollback(identity: str, severity: Any, ended: bool) -> None:
    assert ended_run(finding(identity, severity, "arm/seed0: step 3", "")) == ended
