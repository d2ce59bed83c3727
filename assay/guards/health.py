"""After training: is this run's result to be believed? Every check over one run, and format drift between two models.

    stability   not finite, KL, entropy, gradient, ratio, log-prob gap, Adam's eps        F15 F16 F21 F22 F24 F25 F32
    behaviour   length, length against reward, truncation, repetition, duplicates, verifier   F01 F19 F21 F24 F32
    progress    reward collapse, reward against validation, idle groups                   F20 F23

A healthy run has no findings. Guards (`assay.guards.rules`) stop a run; these say afterwards what a person should know.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from assay.contracts.manifest import Finding
from assay.guards import behaviour, progress, stability
from assay.guards.findings import finding
from assay.guards.run_record import RunRecord

CHECKS: tuple[Callable[[RunRecord], list[Finding]], ...] = (
    stability.not_finite,
    stability.kl,
    stability.entropy,
    stability.gradient,
    stability.ratio,
    stability.logprob_gap,
    stability.adam_eps,
    behaviour.length_collapse,
    behaviour.length_reward,
    behaviour.truncation,
    behaviour.repetition,
    behaviour.duplicates,
    behaviour.verifier_failures,
    progress.reward_collapse,
    progress.reward_against_validation,
    progress.idle_groups,
)

DRIFT, STANDARD_ERRORS = 0.01, 2.0
"""Format that a model loses beyond what it loses in knowledge, and how many standard errors that must exceed."""


def training_health(run: RunRecord) -> list[Finding]:
    """All findings about one run, in the order of `CHECKS`; none if it is healthy or has no metrics."""
    return [found for check in CHECKS for found in check(run)]


@dataclass(frozen=True, slots=True)
class FormatRates:
    """Accuracies of one model on the same `n` completions, read strictly and leniently."""

    strict: float
    symbolic: float
    n: int


def format_drift(where: str, before: FormatRates, after: FormatRates) -> list[Finding]:
    """Whether the model forgot the format while it kept, or gained, the knowledge (F04)."""
    strict, symbolic = after.strict - before.strict, after.symbolic - before.symbolic
    lost = min(symbolic, 0.0) - strict
    if lost < _noise(before, after):
        return []
    message = (
        f"strict accuracy goes from {before.strict:.1%} to {after.strict:.1%} while symbolic goes from "
        f"{before.symbolic:.1%} to {after.symbolic:.1%} (n = {after.n}): the answers are there, their format is not. "
        "Train with `verifier: strict`, or give `format` a weight in reward_weights"
    )
    return [finding("F04/format-drift", "warning", where, message)]


def _noise(before: FormatRates, after: FormatRates) -> float:
    variance = sum(rates.strict * (1 - rates.strict) / rates.n for rates in (before, after))
    return max(DRIFT, STANDARD_ERRORS * math.sqrt(variance))
