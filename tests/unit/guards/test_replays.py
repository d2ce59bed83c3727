"""The collapses of the failure list, replayed step by step from the figures that were kept of them.

Between two figures a curve runs straight (figures that grow by factors: straight in their logarithm); what is only
known to have happened by some step happens at that step. Each is stopped, or at least told of, under the right name and
before its run ended; runs that were healthy are left in peace.
"""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median, pstdev

import pytest

from assay.contracts.manifest import Finding
from assay.contracts.training import default_guards
from assay.guards.rules import Guards
from assay.guards.trends import Trends

Knots = dict[int, float]
"""Step -> figure."""
Scores = dict[str, float]
"""Validation problem -> mean score."""

HEALTHY = {
    "reward_mean": 0.45, "reward_std": 0.5, "kl": 0.02, "kl_max": 8.0, "entropy": 0.4, "grad_norm": 0.45,
    "ratio_max": 1.2, "completion_tokens_median": 110.0, "truncated_share": 0.01, "repetition_share": 0.0,
    "distinct_share": 0.9, "duplicate_excess_share": 0.0, "mixed_group_share": 0.6, "staleness_steps": 0.0,
    "logprob_gap_mean": 0.003, "verifier_failed_share": 0.0, "loss": 0.01,
}  # fmt: skip
PROMPTS = 32
"""A step, where a run's notes name no other number."""


@dataclass(frozen=True)
class Collapse:
    """A run that failed: which of its figures were kept, what it is called, and by when it must be noticed."""

    failure: str
    guards: frozenset[str]
    """Those that may name it first."""
    steps: int
    noticed_by: int
    stopped: bool
    curves: dict[str, Knots]
    logarithmic: dict[str, Knots]
    validation: Knots
    problems: int = 1319


def collapse(
    failure: str,
    guards: str,
    steps: int,
    noticed_by: int,
    *,
    stopped: bool = True,
    logarithmic: dict[str, Knots] | None = None,
    validation: Knots | None = None,
    problems: int = 1319,
    **curves: Knots,
) -> Collapse:
    names = frozenset(f"guard/{name}" for name in guards.split())
    return Collapse(failure, names, steps, noticed_by, stopped, curves, logarithmic or {}, validation or {}, problems)


COLLAPSES = {
    "ARC, PPO": collapse(
        "F24", "ratio", 3000, 600,
        logarithmic={"ratio_max": {0: 1.0, 99: 1.1719, 999: 21.75, 2999: 26.25}},
        reward_mean={0: 0.2129, 99: 0.2002, 998: 0.2002, 999: -39.25, 2999: -33.5},
        repetition_share={0: 0.0, 998: 0.0, 999: 0.95},
    ),
    "IFEval, beta 1e-4": collapse(
        "F22", "kl_max entropy", 90, 79, logarithmic={"kl_max": {0: 0.5, 79: 9748.0}, "entropy": {0: 0.5, 79: 0.008}}
    ),
    "v5, lr 2e-5": collapse(
        "F23", "gradient_growth reward", 180, 162, reward_mean={0: 0.4, 159: 0.5, 160: 0.0},
        grad_norm={0: 0.4, 159: 0.5, 160: 46.75},
        reward_std={0: 0.5, 159: 0.5, 160: 0.0}, validation={20: 0.2816, 40: 0.2692, 60: 0.2410}, problems=5000,
    ),
    "lr 5e-5": collapse(
        "F21", "gradient length", 150, 56, reward_mean={0: 0.34, 50: 0.34, 51: 0.046},
        grad_norm={0: 0.5, 50: 0.5, 51: 148.0},
        completion_tokens_median={0: 110.0, 50: 110.0, 51: 1.0},
    ),
    "legal": collapse(
        "F32", "truncation", 120, 10, kl={step: spike for at, peak in ((30, 1557.0), (60, 27087.0), (90, 2433.0))
                            for step, spike in ((at - 1, 0.4), (at, peak), (at + 1, 0.4))} | {0: 0.1},
        reward_mean={0: 9.0, 119: 15.0}, truncated_share={0: 0.7, 119: 1.0}, completion_tokens_median={0: 256.0},
    ),
    "legal, length apart": collapse(
        "F32", "kl_spike", 120, 60, stopped=False, kl={0: 0.1, 59: 0.4, 60: 27087.0, 61: 0.4},
        kl_max={0: 8.0, 59: 8.0, 60: 8.0}, reward_mean={0: 9.0, 119: 15.0}, reward_std={0: 4.0},
    ),
    "MATH, eps 1e-7": collapse(
        "F15", "kl", 8, 4, kl={0: 0.0, 1: 0.01, 2: 0.4, 3: 12.0, 4: 350.0, 5: 2685.0, 6: math.nan}
    ),
    "MATH, from one step to the next": collapse(
        "F15", "kl", 8, 5, kl={0: 0.0, 4: 0.02, 5: 2685.0, 6: math.nan}, kl_max={0: 1.0, 4: 8.0, 5: 9000.0, 6: math.nan}
    ),
    "v6, lr 1e-5": collapse(
        "F20", "divergence", 200, 60, reward_mean={0: 0.6, 199: 0.7}, problems=5000,
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
    return HEALTHY | curves


def scores(run: Collapse, step: int) -> Scores:
    """What each problem scored where the run was validated; none elsewhere."""
    return _scores(run.validation, run.problems, step) if step in run.validation else {}


def _scores(accuracy: Knots, problems: int, step: int, seed: int = 0) -> Scores:
    """4 samples a problem. How hard problems are is spread as MATH's are; a fall takes the same share of each one's
    pass rate."""
    hardness, luck = random.Random(seed), random.Random(f"{seed}/{step}")
    rates = [hardness.betavariate(0.35, 0.86) for _ in range(problems)]
    left = at(accuracy, step) / fmean(rates)
    return {str(i): fmean(luck.random() < rate * left for _ in range(4)) for i, rate in enumerate(rates)}


def play(
    rows: dict[int, dict[str, float]], validation: dict[int, Scores], prompts: int = PROMPTS
) -> tuple[dict[int, list[Finding]], int | None]:
    """(step -> findings, step at which the guards end the run), as the training loop asks them."""
    trends, guards = Trends(prompts), Guards(default_guards())
    found: dict[int, list[Finding]] = {}
    for step, row in rows.items():
        outcome = guards.check(step, row | trends.observe(row, validation.get(step, {})))
        found |= {step: outcome.findings} if outcome.findings else {}
        if outcome.stop:
            return found, step
    return found, None


def replay(run: Collapse) -> tuple[dict[int, list[Finding]], int | None]:
    steps = range(run.steps + 1)
    return play({step: metrics(run, step) for step in steps}, {step: scores(run, step) for step in steps})


@pytest.mark.parametrize("name", COLLAPSES)
def test_a_collapse_is_noticed_early_and_by_its_name(name: str) -> None:
    """F15, F20, F21, F22, F23, F24, F32."""
    run = COLLAPSES[name]
    found, ended = replay(run)
    named = {finding.id: step for step, findings in reversed(found.items()) for finding in findings}
    assert min(named[guard] for guard in run.guards if guard in named) <= run.noticed_by
    assert (ended is not None) == run.stopped


@pytest.mark.parametrize("name", sorted(COLLAPSES.keys() - {"v5, lr 2e-5"}))
def test_no_other_name_comes_first(name: str) -> None:
    """F15: 2,685 nats at step 5 were called F32 until they were NaN. (v5 loses its validation long before its reward:
    it is F20 first.)"""
    run = COLLAPSES[name]
    first = next(iter(replay(run)[0].values()))
    assert {finding.failure for finding in first if finding.id in run.guards} == {run.failure}
    assert {finding.failure for finding in first} <= {run.failure, "F23"}
    assert first[0].failure == run.failure


@pytest.mark.parametrize("name", COLLAPSES)
def test_what_ends_a_run_bears_the_name_of_its_collapse(name: str) -> None:
    run = COLLAPSES[name]
    found, ended = replay(run)
    if ended is not None:
        errors = {finding.failure for finding in found[ended] if finding.severity == "error"}
        assert run.failure in errors


@pytest.mark.parametrize(
    ("problems", "warned", "stopped"), [(64, (0.55, 0.95), (0.0, 0.4)), (128, (0.85, 1.0), (0.3, 0.9))]
)
def test_what_validation_of_so_many_problems_shows_of_a_fall_of_a_quarter(
    problems: int, warned: tuple[float, float], stopped: tuple[float, float]
) -> None:
    """F20: v6 validated every 10 steps, as by default. 64 problems, the default, are enough for a warning, rarely for
    the end of the run. Shares of 20 runs."""
    accuracy = {10: 0.2890} | COLLAPSES["v6, lr 1e-5"].validation
    rows = {step: metrics(collapse("F20", "", 200, 0, reward_mean={0: 0.6, 199: 0.7}), step) for step in range(201)}
    steps = range(10, 201, 10)
    runs = [play(rows, {step: _scores(accuracy, problems, step, seed) for step in steps}) for seed in range(20)]
    assert warned[0] <= fmean(bool(found) for found, _ in runs) <= warned[1]
    assert stopped[0] <= fmean(ended is not None for _, ended in runs) <= stopped[1]


def healthy(prompts: int, seed: int, steps: int = 120) -> dict[int, dict[str, float]]:
    """A run that learns a little, of 8 samples a prompt: its noise is that of the prompts it happens to get."""
    luck = random.Random(f"{prompts}/{seed}")
    return {step: _noisy(luck, prompts, 0.35 + 0.15 * step / steps) for step in range(steps)}


def _noisy(luck: random.Random, prompts: int, accuracy: float) -> dict[str, float]:
    rates = [luck.betavariate(accuracy, 1 - accuracy) for _ in range(prompts)]
    groups = [[float(luck.random() < rate) for _ in range(8)] for rate in rates]
    lengths = [luck.lognormvariate(4.7, 0.5) for _ in rates]  # completions of a prompt are alike
    flat, mixed = [reward for group in groups for reward in group], [len(set(group)) > 1 for group in groups]
    norm = 0.5 * luck.lognormvariate(0, 0.3) * fmean(mixed) if any(mixed) else luck.choice([0.0, 1e-7, 1e-3])
    return HEALTHY | {
        "reward_mean": fmean(flat), "reward_std": pstdev(flat), "mixed_group_share": fmean(mixed), "grad_norm": norm,
        "completion_tokens_median": median(lengths),
    }  # fmt: skip


@pytest.mark.parametrize("prompts", [2, 4, 8, 32])
def test_the_noise_of_small_steps_is_no_collapse(prompts: int) -> None:
    """A step without a mixed group, and then one with, was stopped as F23; `signal` warned at every second step."""
    runs = [play(healthy(prompts, seed), {}, prompts) for seed in range(100)]
    assert [ended for _, ended in runs if ended is not None] == []
    assert sum(bool(found) for found, _ in runs) <= 5


@pytest.mark.parametrize("run", ["curriculum/seed0", "adaptive sampling/seed0"])
def test_healthy_runs_raise_nothing(run: str) -> None:
    """Metrics of two runs of the quickstart, as they were logged; the first is handed ever harder prompts."""
    logged = json.loads((Path(__file__).parents[2] / "golden/guards/quickstart_metrics.json").read_text("utf-8"))[run]
    steps = range(len(logged["kl"]))
    rows = {step: {name: curve[str(step)] for name, curve in logged.items() if str(step) in curve} for step in steps}
    accuracy = {int(step): value for step, value in logged["validation_accuracy"].items()}
    validation = {step: _scores(accuracy, 128, step) for step in accuracy}
    assert play({step: HEALTHY | row for step, row in rows.items()}, validation) == ({}, None)


def test_a_long_steady_run_raises_nothing() -> None:
    quiet = {step: metrics(collapse("", "", 500, 0), step) for step in range(500)}
    assert play(quiet, {}) == ({}, None)
