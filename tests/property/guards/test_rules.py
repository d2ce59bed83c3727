"""However a run is cut into pieces, its guards decide the same."""

from __future__ import annotations

import json
import math

from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.training import GuardRule
from assay.guards.rules import Guards, Outcome

VALUES = st.lists(st.sampled_from([0.0, 1.0, 1.5, 2.0, 3.0, math.nan]), max_size=30)
RULES = st.builds(
    lambda warn, more, patience: GuardRule(metric="kl", warn=warn, stop=warn + more, patience_steps=patience),
    st.sampled_from([1.0, 1.5]),
    st.sampled_from([0.0, 1.0]),
    st.integers(1, 4),
)


def play(rule: GuardRule, values: list[float], kills: set[int]) -> list[Outcome]:
    guards, outcomes = Guards({"kl": rule}), []
    for step, value in enumerate(values):
        if step in kills:
            state = json.loads(json.dumps(guards.state()))
            guards = Guards({"kl": rule})
            guards.restore(state)
        outcomes.append(guards.check(step, {"kl": value}))
    return outcomes


@given(RULES, VALUES, st.sets(st.integers(0, 30)))
def test_kills_change_no_decision(rule: GuardRule, values: list[float], kills: set[int]) -> None:
    assert play(rule, values, kills) == play(rule, values, set())


@given(RULES, VALUES)
def test_a_run_stops_exactly_when_patience_runs_out_or_a_value_is_not_finite(
    rule: GuardRule, values: list[float]
) -> None:
    for step, outcome in enumerate(play(rule, values, set())):
        window = values[max(0, step - rule.patience_steps + 1) : step + 1]
        at_stop = len(window) == rule.patience_steps and all(value >= rule.stop for value in window)
        assert outcome.stop == (at_stop or math.isnan(values[step]))
        if outcome.stop:
            return
