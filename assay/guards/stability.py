"""After training: did the optimisation stay in bounds? NaN, KL, entropy, gradients, importance ratios, Adam's eps.

Limits come from healthy and failed runs: healthy GRPO runs keep the mean KL under 0.1 nats a token, the ratio under 2
and the gradient norm near 1; the failures reached a KL of thousands, a ratio of 22 and gradient norms of 47 and 148.
"""

from __future__ import annotations

import math
from statistics import median

from assay.contracts.manifest import Finding, Severity
from assay.contracts.training import EARLY_STEPS
from assay.guards.findings import OF_VERDICTS
from assay.guards.run_record import RunRecord, first_reaching, last_part, mean_of

KL_WARN, KL_ERROR = 1.0, 10.0
"""Mean KL over the tokens of a step, nats per token."""
KL_MAX_WARN, KL_MAX_ERROR = 100.0, 1_000.0
"""Largest k3 value of a single token."""
ENTROPY_WARN, ENTROPY_ERROR = 0.02, 0.01
"""Nats per token."""
GRAD_WARN, GRAD_ERROR = 20.0, 100.0
RATIO_WARN, RATIO_ERROR = 5.0, 20.0
ON_POLICY_RATIO, ON_POLICY_CLIPPED = 1.2, 0.01
"""With one update a step the policy is the one that sampled: no ratio should leave 1 by much, nothing be clipped."""
LOGPROB_GAP = 0.05
"""Nats a token, where the run sets no bound of its own."""
EPS_WARN, EPS_ERROR = 0.1, 1.0
"""Adam's eps in units of the gradient RMS."""


def not_finite(run: RunRecord) -> list[Finding]:
    """NaN or infinity in any metric (F15), but for those of verdicts, at a step where none was given (F19)."""
    for step, row in sorted(run.metrics.items()):
        broken = [name for name, value in row.items() if not math.isfinite(value) and name not in OF_VERDICTS]
        if broken:
            message = (
                f"{', '.join(broken)} not finite; everything after is lost. Continue from an earlier checkpoint "
                "with a lower learning rate, more warm-up and an Adam eps below the gradient RMS"
            )
            return [run.finding("F15/not-finite", "error", step, message)]
    return []


def kl(run: RunRecord) -> list[Finding]:
    """Spikes of the KL to the reference; the failure they point at depends on what came with them (F15, F22, F32)."""
    found = _crossing(run, "kl", KL_WARN, KL_ERROR) or _crossing(run, "kl_max", KL_MAX_WARN, KL_MAX_ERROR)
    if found is None:
        return []
    metric, step, severity = found
    worst = max(value for _, value in run.series(metric))
    identity, advice = _kl_cause(run, step)
    return [
        run.finding(identity, severity, step, f"{metric} rises to {worst:,.{0 if worst >= 100 else 2}f} nats. {advice}")
    ]


def _kl_cause(run: RunRecord, step: int) -> tuple[str, str]:
    if first_reaching(run.series("entropy"), ENTROPY_WARN, above=False) is not None:
        return "F22/kl", "Entropy is gone as well: the KL term is too weak. Raise kl.coefficient"
    if step - min(run.metrics) < EARLY_STEPS:
        return "F15/kl", "It comes at the very start: warm up longer, lower the learning rate, check Adam's eps"
    return "F32/kl", "Read completions from these steps before trusting the reward; raise kl.coefficient"


def entropy(run: RunRecord) -> list[Finding]:
    """The policy writes one thing only (F22)."""
    points = run.series("entropy")
    if not points:
        return []
    mean = mean_of(last_part(points))
    if mean > ENTROPY_WARN:
        return []
    severity: Severity = "error" if mean <= ENTROPY_ERROR else "warning"
    step = first_reaching(points, ENTROPY_WARN, above=False)
    message = (
        f"entropy falls from {points[0][1]:.3g} to {mean:.3g} nats a token: groups hold one answer and teach nothing. "
        "Raise kl.coefficient or loss.clip_high, or stop earlier"
    )
    return [run.finding("F22/entropy", severity, points[-1][0] if step is None else step, message)]


def gradient(run: RunRecord) -> list[Finding]:
    """Gradient norms before clipping (F21, F23)."""
    found = _crossing(run, "grad_norm", GRAD_WARN, GRAD_ERROR)
    if found is None:
        return []
    _, step, severity = found
    points = run.series("grad_norm")
    worst, usual = max(value for _, value in points), median(value for _, value in points)
    message = (
        f"grad_norm reaches {worst:.4g} (median {usual:.3g}). Compare the completions before and after; "
        "lower optimizer.learning_rate"
    )
    return [run.finding("F21/gradient", severity, step, message)]


def ratio(run: RunRecord) -> list[Finding]:
    """Importance ratios far from 1 (F24), or off 1 where sampler and trainer are one policy (F25)."""
    found = _crossing(run, "ratio_max", RATIO_WARN, RATIO_ERROR)
    if found is not None:
        _, step, severity = found
        worst = max(value for _, value in run.series("ratio_max"))
        clip = 1 + run.spec.loss.recipe.clip_high
        message = f"ratio_max reaches {worst:.4g} with a clip at {clip:g}. Lower the learning rate or updates_per_step"
        return [run.finding("F24/ratio", severity, step, message)]
    return _on_policy_ratio(run)


def _on_policy_ratio(run: RunRecord) -> list[Finding]:
    if run.spec.updates_per_step > 1:
        return []
    limits = {"ratio_max": ON_POLICY_RATIO, "clip_fraction": ON_POLICY_CLIPPED}
    reached = {name: first_reaching(run.series(name), limit) for name, limit in limits.items()}
    steps = [step for step in reached.values() if step is not None]
    if not steps:
        return []
    worst = ", ".join(
        f"{name} {max(v for _, v in run.series(name)):.3g}" for name, at in reached.items() if at is not None
    )
    message = (
        f"{worst} although each step makes one update: trainer and sampler disagree on log-probs. "
        "Check precision, parallelism and temperature on both sides"
    )
    return [run.finding("F25/ratio", "warning", min(steps), message)]


def logprob_gap(run: RunRecord) -> list[Finding]:
    """Trainer and sampler drift apart while training (F25); at step 0 training refuses to start."""
    if run.spec.rollout.max_staleness_steps:  # the policy itself has moved on; the loop compares equal weights
        return []
    limit = run.spec.logprob_tolerance or LOGPROB_GAP
    step = first_reaching(run.series("logprob_gap_mean"), limit)
    if step is None:
        return []
    worst = max(value for _, value in run.series("logprob_gap_mean"))
    message = (
        f"trainer and sampler log-probs differ by {worst:.3g} nats a token, over {limit:g}. "
        "Check that every weight reaches the sampler after an update"
    )
    return [run.finding("F25/logprob-gap", "warning", step, message)]


def adam_eps(run: RunRecord) -> list[Finding]:
    """Adam's eps against the gradient RMS: above it, the loss scale becomes a learning rate (F15, F16)."""
    points = [(step, value) for step, value in run.series("grad_rms") if value > 0]
    if not points:
        return []
    rms, eps = median(value for _, value in points), run.spec.optimizer.eps
    if eps < EPS_WARN * rms:
        return []
    severity: Severity = "error" if eps >= EPS_ERROR * rms else "warning"
    message = (
        f"Adam's eps {eps:g} against a gradient RMS of {rms:.2g}: update sizes follow the loss scale, so arms with "
        f"different normalisers do not compare. Set optimizer.eps to {rms / 1000:.0e} or less"
    )
    return [run.finding("F16/adam-eps", severity, points[0][0], message)]


def _crossing(run: RunRecord, metric: str, warn: float, error: float) -> tuple[str, int, Severity] | None:
    """(metric, first step at or over `warn`, severity by the worst value), or None."""
    points = run.series(metric)
    step = first_reaching(points, warn)
    if step is None:
        return None
    return metric, step, "error" if first_reaching(points, error) is not None else "warning"
