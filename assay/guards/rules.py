"""Limits on training metrics: a warning when a metric reaches `warn`, the end of the run when it stays at `stop`.

    value at or beyond `warn`                              one finding, when it gets there
    value at or beyond `stop`, `patience_steps` in a row   an error, stop
    value not finite                                       an error, stop at once (F15)

The state between steps is small and JSON, so a run that is killed and resumed decides as one that was not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from assay.contracts.manifest import Finding, Severity
from assay.contracts.training import GuardRule


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the guards say about one step."""

    findings: list[Finding]
    stop: bool


@dataclass(slots=True)
class _RuleState:
    steps_at_stop: int = 0
    warned: bool = False


class Guards:
    """All rules of a run; `label` (`ARM/seedN`) begins the `where` of every finding."""

    def __init__(self, rules: Mapping[str, GuardRule], label: str = "") -> None:
        self._rules = dict(rules)
        self._label = label
        self._states = {name: _RuleState() for name in rules}

    def check(self, step: int, metrics: Mapping[str, float]) -> Outcome:
        """What the rules say about the metrics of one step. Call once a step, in order."""
        where = f"{self._label}: step {step}" if self._label else f"step {step}"
        found = [_judge(name, rule, self._states[name], where, metrics) for name, rule in self._rules.items()]
        findings = [item for item in found if item is not None]
        return Outcome(findings, stop=any(item.severity == "error" for item in findings))

    def state(self) -> dict[str, Any]:
        """What the rules remember, as JSON."""
        return {name: [state.steps_at_stop, state.warned] for name, state in self._states.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state of the same rules."""
        self._states = {name: _RuleState(*state[name]) for name in self._rules}


def _reached(rule: GuardRule, value: float, limit: float) -> bool:
    return value >= limit if rule.side == "above" else value <= limit


def _judge(name: str, rule: GuardRule, state: _RuleState, where: str, metrics: Mapping[str, float]) -> Finding | None:
    value = metrics[rule.metric]
    if not math.isfinite(value):
        message = (
            f"{rule.metric} is {value}; the run is stopped. Lower the learning rate, raise warm-up, check Adam's eps"
        )
        return _finding(name, "F15", "error", where, message)
    warned, state.warned = state.warned, _reached(rule, value, rule.warn)
    state.steps_at_stop = state.steps_at_stop + 1 if _reached(rule, value, rule.stop) else 0
    if state.steps_at_stop >= rule.patience_steps:
        message = (
            f"{rule.metric} is {value:.4g}, {rule.side} {rule.stop:g} for {state.steps_at_stop} steps; "
            "the run is stopped. Its last good checkpoint is the newest before this step"
        )
        return _finding(name, rule.failure, "error", where, message)
    if state.warned and not warned:
        message = f"{rule.metric} is {value:.4g}, {rule.side} {rule.warn:g}; the run stops at {rule.stop:g}. Watch it"
        return _finding(name, rule.failure, "warning", where, message)
    return None


def _finding(name: str, failure: str, severity: Severity, where: str, message: str) -> Finding:
    return Finding(id=f"guard/{name}", failure=failure, severity=severity, where=where, message=message)
