"""Limits on training metrics: a warning when a metric reaches `warn`, the rule's action when it stays at `stop`.

    value at or beyond `warn`                              one finding, when it gets there
    value at or beyond `stop`, `patience_steps` in a row   the action: warn, stop, or roll back
    value not finite                                       the action at once (F15)

Losses and gradients that no rule watches must be finite all the same.

What an action does to the run is the loop's affair (`assay.training.rollback`).

The state between steps is small and JSON, so a run that is killed and resumed decides as one that was not.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from assay.contracts.manifest import Finding, Severity
from assay.contracts.training import GuardRule
from assay.guards.findings import OF_VERDICTS

MUST_BE_FINITE = ("loss", "grad_norm", "value_loss", "value_grad_norm")
"""Once one of them is not, whatever is trained is lost (F15)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the guards say about one step."""

    findings: list[Finding]
    tripped: list[Tripped]

    @property
    def stop(self) -> bool:
        """Whether a rule ends the run."""
        return any(call.rule.action == "stop" for call in self.tripped)

    @property
    def rollback(self) -> Tripped | None:
        """The call to go back furthest, unless the run is stopped."""
        calls = [call for call in self.tripped if call.rule.action == "rollback"]
        return None if self.stop else min(calls, key=lambda call: call.since_step, default=None)


@dataclass(frozen=True, slots=True)
class Tripped:
    """A rule that calls for its action."""

    guard: str
    rule: GuardRule
    since_step: int
    """First of the steps in a row that are beyond `stop`; what was before it is good."""


@dataclass(slots=True)
class _RuleState:
    steps_at_stop: int = 0
    since_step: int = 0
    warned: bool = False


class Guards:
    """All rules of a run; `label` (`ARM/seedN`) begins the `where` of every finding."""

    def __init__(self, rules: Mapping[str, GuardRule], label: str = "") -> None:
        self._rules = finite_rules(rules) | dict(rules)
        self._label = label
        self._states = {name: _RuleState() for name in self._rules}

    def check(self, step: int, metrics: Mapping[str, float]) -> Outcome:
        """What the rules say about the metrics of one step. Call once a step, in order.

        A rule is not asked about a metric of which this step says nothing, or before its `from_step`. Of several
        findings about one metric the worst is told; among equals that of the rule written last, which is the more
        special one.
        """
        where = f"{self._label}: step {step}" if self._label else f"step {step}"
        asked = {name: rule for name, rule in self._rules.items() if _asked(rule, step, metrics)}
        found = [_judge(name, rule, self._states[name], step, where, metrics) for name, rule in asked.items()]
        told = zip(asked.values(), (finding for finding, _ in found), strict=True)
        return Outcome(_worst_of_each_metric(told), [call for _, call in found if call is not None])

    def bad_since(self, step: int) -> int:
        """The first step that a rule may yet call bad, when `step` is the next."""
        return min((state.since_step for state in self._states.values() if state.steps_at_stop), default=step)

    def state(self) -> dict[str, Any]:
        """What the rules remember, as JSON."""
        return {name: [state.steps_at_stop, state.since_step, state.warned] for name, state in self._states.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same rules."""
        self._states = {name: _RuleState(*state[name]) for name in self._rules}


def finite_rules(rules: Mapping[str, GuardRule]) -> dict[str, GuardRule]:
    """Rules that only what is not finite breaks, for what must be finite and no rule watches. They roll back where
    others do."""
    back = [rule.max_rollbacks for rule in rules.values() if rule.action == "rollback"]
    largest = sys.float_info.max
    rule = {"warn": largest, "stop": largest, "action": "rollback" if back else "stop", "failure": "F15"}
    watched = {rule.metric for rule in rules.values()}
    unwatched = [metric for metric in MUST_BE_FINITE if metric not in watched]
    most = {"max_rollbacks": max(back, default=2)}
    return {f"finite_{metric}": GuardRule.model_validate({"metric": metric} | rule | most) for metric in unwatched}


def _asked(rule: GuardRule, step: int, metrics: Mapping[str, float]) -> bool:
    """Whether a step says anything about a rule's metric: not about verdicts where none was given (F19), nor about
    trainer and sampler by completions of older weights, since the policy itself has moved on (F25)."""
    if rule.metric not in metrics or step < rule.from_step:
        return False
    unjudged = rule.metric in OF_VERDICTS and math.isnan(metrics[rule.metric])
    stale = rule.metric.startswith("logprob_gap") and metrics.get("staleness_steps", 0) > 0
    return not unjudged and not stale


def _worst_of_each_metric(told: Iterable[tuple[GuardRule, Finding | None]]) -> list[Finding]:
    worst: dict[str, Finding] = {}
    for rule, finding in told:
        known = worst.get(rule.metric)
        if finding and (known is None or finding.severity == "error" or known.severity != "error"):
            worst[rule.metric] = finding
    return list(worst.values())


def _reached(rule: GuardRule, value: float, limit: float) -> bool:
    return value >= limit if rule.side == "above" else value <= limit


_CONSEQUENCE = {"warn": "the run goes on", "stop": "the run is stopped", "rollback": "the rule calls for a rollback"}
"""Of each action, in the words of its finding."""


def _judge(
    name: str, rule: GuardRule, state: _RuleState, step: int, where: str, metrics: Mapping[str, float]
) -> tuple[Finding | None, Tripped | None]:
    value = metrics[rule.metric]
    finite = math.isfinite(value)
    warned, state.warned = state.warned, not finite or _reached(rule, value, rule.warn)
    state.steps_at_stop = state.steps_at_stop + 1 if not finite or _reached(rule, value, rule.stop) else 0
    state.since_step = state.since_step if state.steps_at_stop > 1 else step
    if state.steps_at_stop >= rule.patience_steps or not finite:
        call = Tripped(name, rule, state.since_step)
        again = rule.action == "warn" and warned and state.steps_at_stop != rule.patience_steps
        return None if again else _tripped(call, where, value), call
    if state.warned and not warned:
        limits = f"{rule.side} {rule.warn:g}; at {rule.stop:g} {_CONSEQUENCE[rule.action]}"
        return _finding(name, rule.failure, "warning", where, f"{rule.metric} is {value:.4g}, {limits}. Watch it"), None
    return None, None


def _tripped(call: Tripped, where: str, value: float) -> Finding:
    rule, consequence = call.rule, _CONSEQUENCE[call.rule.action]
    severity: Severity = "error" if rule.action == "stop" else "warning"
    if not math.isfinite(value):
        remedy = "Lower the learning rate, raise warm-up, check Adam's eps"
        return _finding(call.guard, "F15", severity, where, f"{rule.metric} is {value}; {consequence}. {remedy}")
    message = (
        f"{rule.metric} is {value:.4g}, {rule.side} {rule.stop:g} since step {call.since_step}; {consequence}. "
        "The last good checkpoint is the newest before that step"
    )
    return _finding(call.guard, rule.failure, severity, where, message)


def _finding(name: str, failure: str, severity: Severity, where: str, message: str) -> Finding:
    return Finding(id=f"guard/{name}", failure=failure, severity=severity, where=where, message=message)
