"""After training: did the run learn what it was meant to? Reward, validation, groups that teach."""

from __future__ import annotations

import math

from assay.contracts.manifest import Finding, Severity
from assay.guards.run_record import Point, RunRecord, first_part, first_reaching, last_part, mean_of

COLLAPSED_SHARE, WORTH_LOSING = 0.2, 0.1
"""A reward that was worth losing and ends below this part of its best."""
VALIDATION_DROP, STANDARD_ERRORS = 0.03, 2.0
"""A fall of validation accuracy that matters, and how many standard errors it must exceed."""
REWARD_SLACK = 0.02
"""A reward that falls by less than this counts as healthy."""
MIXED_WARN, MIXED_ERROR = 0.2, 0.02
"""Share of groups that hold both better and worse completions."""


def reward_collapse(run: RunRecord) -> list[Finding]:
    """The reward goes to nothing (F23)."""
    points = run.series("reward_mean")
    if not points:
        return []
    best, after = max(value for _, value in points), mean_of(last_part(points))
    if best < WORTH_LOSING or after > COLLAPSED_SHARE * best:
        return []
    step = _since(points, COLLAPSED_SHARE * best)
    message = (
        f"reward falls from {best:.3g} to {after:.3g} and stays there. The run collapsed: "
        "use the last good checkpoint, lower the learning rate, raise kl.coefficient"
    )
    return [run.finding("F23/reward", "error", step, message)]


def _since(points: list[Point], limit: float) -> int:
    """The first step of the last stretch at or below `limit`; of the last quarter if it is never left for good."""
    step = last_part(points)[0][0]
    for at, value in reversed(points):
        if value > limit:
            break
        step = at
    return step


def reward_against_validation(run: RunRecord) -> list[Finding]:
    """Training reward holds or rises while validation accuracy falls by more than noise (F20)."""
    reward, validation = run.series("reward_mean"), run.series("validation_accuracy")
    if len(validation) < 2 or not reward:
        return []
    best_step, best = max(validation, key=lambda point: (point[1], -point[0]))
    after = mean_of([point for point in last_part(validation) if point[0] > best_step] or validation[-1:])
    gained = mean_of(last_part(reward)) - mean_of(first_part(reward))
    if best - after < _noise(best, run.validation_problems) or gained < -REWARD_SLACK:
        return []
    message = (
        f"validation accuracy falls from {best:.1%} to {after:.1%} (n = {run.validation_problems}) while the reward "
        f"moves by {gained:+.3g}: the policy pleases the verifier, not the task. Use the checkpoint "
        f"of step {best_step}; compare strict and symbolic verdicts"
    )
    return [run.finding("F20/divergence", "warning", best_step, message)]


def _noise(accuracy: float, problems: int) -> float:
    """Falls below this are not told from luck: two standard errors of a difference of two accuracies."""
    standard_error = math.sqrt(2 * accuracy * (1 - accuracy) / problems)
    return max(VALIDATION_DROP, STANDARD_ERRORS * standard_error)


def idle_groups(run: RunRecord) -> list[Finding]:
    """Groups whose completions all earn the same: nothing is learnt from them."""
    points = run.series("mixed_group_share")
    if not points or mean_of(points) > MIXED_WARN:
        return []
    mean = mean_of(points)
    severity: Severity = "error" if mean < MIXED_ERROR else "warning"
    step = first_reaching(points, MIXED_WARN, above=False)
    message = (
        f"only {mean:.1%} of the groups hold both better and worse completions. Choose prompts the base model solves "
        "sometimes (prompts.min_pass_rate, prompts.max_pass_rate) or raise samples_per_prompt"
    )
    return [run.finding("idle-groups", severity, points[0][0] if step is None else step, message)]
