"""The collapses of the failure list, replayed step by step from the figures that were kept of them.

Between two figures a curve runs straight (figures that grow by factors: straight in their logarithm); what is only
known to have happened by some step happens at that step. Each is stopped, or at least told of, under the right name and
before its run ended; runs that were healthy are left in peace.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from assay.contracts.manifest import Finding
from assay.contracts.training import default_guards
from assay.guards.rules import Guards
from assay.guards.trends import Trends

Knots = dict[int, float]
"""Step -> figure."""

HEALTHY = {
    "reward_mean": 0.45, "kl": 0.02, "kl_max": 8.0, "entropy": 0.4, "grad_norm": 0.45, "ratio_max": 1.2,
    "completion_tokens_median": 110.0, "truncated_share": 0.01, "repetition_share": 0.0, "distinct_share": 0.9,
    "duplicate_excess_share": 0.0, "mixed_group_share": 0.6, "staleness_steps": 0.0, "logprob_gap_mean": 0.003,
    "verifier_failed_share": 0.0,
}  # fmt: skip


@dataclass(frozen=True)
class Collapse:
    """A run that failed: which of its figures were kept, what it is called, and by when it must be noticed."""

    failure: str
    steps: int
    noticed_by: int
    stopped: bool
    curves: dict[str, Knots]
    logarithmic: dict[str, Knots]
    validation: Knots
    problems: int = 1319


def collapse(
    failure: str,
    steps: int,
    noticed_by: int,
    *,
    stopped: bool = True,
    logarithmic: dict[str, Knots] | None = None,
    validation: Knots | None = None,
    problems: int = 1319,
    **curves: Knots,
) -> Collapse:
    return Collapse(failure, steps, noticed_by, stopped, curves, logarithmic or {}, validation or {}, problems)


COLLAPSES = {
    "ARC, PPO": collapse(
        "F24", 3000, 600,
        logarithmic={"ratio_max": {0: 1.0, 99: 1.1719, 999: 21.75, 2999: 26.25}},
        reward_mean={0: 0.2129, 99: 0.2002, 998: 0.2002, 999: -39.25, 2999: -33.5},
        repetition_share={0: 0.0, 998: 0.0, 999: 0.95},
    ),
    "IFEval, beta 1e-4": collapse(
        "F22", 90, 79, logarithmic={"kl_max": {0: 0.5, 79: 9748.0}, "entropy": {0: 0.5, 79: 0.008}}
    ),
    "v5, lr 2e-5": collapse(
        "F23", 180, 162, reward_mean={0: 0.4, 159: 0.5, 160: 0.0}, grad_norm={0: 0.4, 159: 0.5, 160: 46.75},
        validation={20: 0.2816, 40: 0.2692, 60: 0.2410}, problems=5000,
    ),
    "lr 5e-5": collapse(
        "F21", 150, 56, reward_mean={0: 0.34, 50: 0.34, 51: 0.046}, grad_norm={0: 0.5, 50: 0.5, 51: 148.0},
        completion_tokens_median={0: 110.0, 50: 110.0, 51: 1.0},
    ),
    "legal": collapse(
        "F32", 120, 10, kl={step: spike for at, peak in ((30, 1557.0), (60, 27087.0), (90, 2433.0))
                            for step, spike in ((at - 1, 0.4), (at, peak), (at + 1, 0.4))} | {0: 0.1},
        reward_mean={0: 9.0, 119: 15.0}, truncated_share={0: 0.7, 119: 1.0}, completion_tokens_median={0: 256.0},
    ),
    "legal, length apart": collapse(
        "F32", 120, 60, stopped=False, kl={0: 0.1, 59: 0.4, 60: 27087.0, 61: 0.4}, reward_mean={0: 9.0, 119: 15.0}
    ),
    "MATH, eps 1e-7": collapse(
        "F15", 8, 4, kl={0: 0.0, 1: 0.01, 2: 0.4, 3: 12.0, 4: 350.0, 5: 2685.0, 6: math.nan}
    ),
    "v6, lr 1e-5": collapse(
        "F20", 200, 60, reward_mean={0: 0.6, 199: 0.7}, problems=5000,
        validation={20: 0.2890, 40: 0.2722, 60: 0.2666, 120: 0.2502, 160: 0.2350, 200: 0.2234},
    ),
}  # fmt: skip


def at(knots: Knots, step: int, *, logarithmic: bool = False) -> float:
    """The curve through the knots; constant before the first and after the last."""
    first, last = min(knots), max(knots)
    if step <= first or step >= last:
        return knots[first if step <= first else last]
    left, right = next((a, b) for a, b in pairwise(sorted(knots)) if a <= step <= b)
    share, (low, high) = (step - left) / (right - left), (knots[left], knots[right])
    if step in (left, right):
        return knots[step]
    return low ** (1 - share) * high**share if logarithmic else low + share * (high - low)


def metrics(run: Collapse, step: int) -> dict[str, float]:
    curves = {name: at(knots, step) for name, knots in run.curves.items()}
    curves |= {name: at(knots, step, logarithmic=True) for name, knots in run.logarithmic.items()}
    return HEALTHY | curves | ({"validation_accuracy": run.validation[step]} if step in run.validation else {})


def play(rows: dict[int, dict[str, float]], problems: int) -> tuple[dict[int, list[Finding]], int | None]:
    """(step -> findings, step at which the guards end the run), as the training loop asks them."""
    trends, guards = Trends(problems), Guards(default_guards())
    found: dict[int, list[Finding]] = {}
    for step, row in rows.items():
        outcome = guards.check(step, row | trends.observe(row))
        found |= {step: outcome.findings} if outcome.findings else {}
        if outcome.stop:
            return found, step
    return found, None


@pytest.mark.parametrize("name", COLLAPSES)
def test_a_collapse_is_noticed_early_and_by_its_name(name: str) -> None:
    """F15, F20, F21, F22, F23, F24, F32."""
    run = COLLAPSES[name]
    found, ended = play({step: metrics(run, step) for step in range(run.steps + 1)}, run.problems)
    named = {finding.failure: step for step, findings in reversed(found.items()) for finding in findings}
    assert named[run.failure] <= run.noticed_by
    assert (ended is not None) == run.stopped


@pytest.mark.parametrize("name", COLLAPSES)
def test_what_ends_a_run_bears_the_name_of_its_collapse(name: str) -> None:
    run = COLLAPSES[name]
    found, ended = play({step: metrics(run, step) for step in range(run.steps + 1)}, run.problems)
    if ended is not None:
        errors = {finding.failure for finding in found[ended] if finding.severity == "error"}
        assert run.failure in errors


@pytest.mark.parametrize("run", ["curriculum/seed0", "adaptive sampling/seed0"])
def test_healthy_runs_raise_nothing(run: str) -> None:
    """Metrics of two runs of the quickstart, as they were logged; the first is handed ever harder prompts."""
    logged = json.loads((Path(__file__).parents[2] / "golden/guards/quickstart_metrics.json").read_text("utf-8"))[run]
    steps = range(len(logged["kl"]))
    rows = {step: {name: curve[str(step)] for name, curve in logged.items() if str(step) in curve} for step in steps}
    assert play({step: HEALTHY | row for step, row in rows.items()}, problems=128) == ({}, None)


def test_a_long_steady_run_raises_nothing() -> None:
    quiet = {step: metrics(collapse("", 500, 0), step) for step in range(500)}
    assert play(quiet, problems=64) == ({}, None)
