"""After training: what became of the completions? Length, truncation, repetition, duplicates, verifiers that failed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import correlation, fmean

from assay.contracts.manifest import Finding, Severity
from assay.contracts.records import TraceRow
from assay.guards.run_record import RunRecord, first_part, first_reaching, last_part, mean_of

LENGTH_TOKENS = 1.0
"""A median at which completions are over before they begin (F21)."""
LENGTH_SHARE = 0.2
"""A fall below this part of the first lengths, unless accuracy rises with it."""
GROWTH, CORRELATION, MIN_TRACES = 1.5, 0.3, 100
"""Completions grown by half, with a reward that follows length within problems, over so many completions (F32)."""
TRUNCATED_WARN, TRUNCATED_ERROR = 0.05, 0.5
"""Share at the end of training. The runs of F32 had 0.7 to 1.0."""
REPETITION_WARN, REPETITION_ERROR = 0.1, 0.5
DUPLICATE_WARN, DUPLICATE_ERROR = 0.1, 0.5
"""Identical pairs beyond what independent sampling explains."""
VERIFIER_WARN, VERIFIER_ERROR = 0.01, 0.2


def length_collapse(run: RunRecord) -> list[Finding]:
    """Completions shrink to nothing (F21). Shorter answers that are right more often are no failure."""
    points = run.series("completion_tokens_median")
    if not points:
        return []
    before, after = mean_of(first_part(points)), mean_of(last_part(points))
    collapsed = after <= LENGTH_TOKENS < before
    if not collapsed and (after > LENGTH_SHARE * before or _rises(run, "correct_share")):
        return []
    limit = max(LENGTH_TOKENS, LENGTH_SHARE * before)
    step = first_reaching(points, limit, above=False)
    message = (
        f"the median completion shrinks from {before:.0f} to {after:.0f} tokens: the policy has stopped reasoning. "
        "Use the checkpoint before it and a lower learning rate"
    )
    return [
        run.finding("F21/length", "error" if collapsed else "warning", points[-1][0] if step is None else step, message)
    ]


def length_reward(run: RunRecord) -> list[Finding]:
    """Reward follows length within problems, and completions grow without validation gaining (F32)."""
    lengths = run.series("completion_tokens_mean")
    scored = [row for row in run.traces if row.status not in ("error", "timeout")]
    if not lengths or len(scored) < MIN_TRACES or _rises(run, "validation_accuracy"):
        return []
    start, end = mean_of(first_part(lengths)), mean_of(last_part(lengths))
    r = _within_problems(scored)
    if end < GROWTH * start or r < CORRELATION:
        return []
    step = first_reaching(lengths, GROWTH * start)
    message = (
        f"completions grow from {start:.0f} to {end:.0f} tokens and reward follows length "
        f"(r = {r:.2f} within problems, n = {len(scored)}) while validation does not gain. "
        "Read long completions; take length out of the reward"
    )
    return [run.finding("F32/length-reward", "warning", lengths[-1][0] if step is None else step, message)]


def _within_problems(rows: Sequence[TraceRow]) -> float:
    """Pearson correlation of length and reward once each problem's means are taken off both."""
    groups: dict[str, list[TraceRow]] = defaultdict(list)
    for row in rows:
        groups[row.problem_id].append(row)
    lengths = [x for group in groups.values() for x in _centred([row.completion_tokens for row in group])]
    rewards = [y for group in groups.values() for y in _centred([row.reward for row in group])]
    return correlation(lengths, rewards) if any(lengths) and any(rewards) else 0.0


def _centred(values: Sequence[float]) -> list[float]:
    mean = fmean(values)
    return [round(value - mean, 9) for value in values]  # equal values give 0, whatever the mean rounds to


def _rises(run: RunRecord, metric: str) -> bool:
    points = run.series(metric)
    return len(points) > 1 and mean_of(last_part(points)) > mean_of(first_part(points))


def truncation(run: RunRecord) -> list[Finding]:
    """Completions cut by the token budget at the end of training (F11, F32)."""
    advice = "A cut answer earns nothing, or is rewarded for its length: raise the task's max_completion_tokens"
    return _last_share(run, "F32/truncated", "truncated_share", TRUNCATED_WARN, TRUNCATED_ERROR, advice)


def repetition(run: RunRecord) -> list[Finding]:
    """One unit over and over (F24: `4444…`)."""
    advice = "The policy is broken from there on: use an earlier checkpoint and a lower learning rate"
    return _last_share(run, "F24/repetition", "repetition_share", REPETITION_WARN, REPETITION_ERROR, advice)


def duplicates(run: RunRecord) -> list[Finding]:
    """Samples of a prompt that are the same one (F01)."""
    advice = "Every request needs a seed of its own: check the sampler"
    found = _last_share(run, "F01/duplicates", "duplicate_excess_share", DUPLICATE_WARN, DUPLICATE_ERROR, advice)
    return found + _shared_seeds(run)


def _shared_seeds(run: RunRecord) -> list[Finding]:
    seeds = Counter((row.problem_id, row.request_seed) for row in run.traces)
    shared = {pair for pair, uses in seeds.items() if uses > 1}
    if not shared:
        return []
    step = min(row.step for row in run.traces if (row.problem_id, row.request_seed) in shared)
    message = f"{len(shared)} seeds of a problem are used more than once. Derive seeds with `assay.contracts.seeds`"
    return [run.finding("F01/seeds", "error", step, message)]


def verifier_failures(run: RunRecord) -> list[Finding]:
    """Verdicts that failed: neither right nor wrong, but missing (F19)."""
    points = run.series("verifier_failed_share")
    if not points or mean_of(points) <= 0:
        return []
    mean, step = mean_of(points), next(step for step, value in points if value > 0)
    severity: Severity = "error" if mean >= VERIFIER_ERROR else "warning" if mean >= VERIFIER_WARN else "info"
    details = Counter(row.status for row in run.traces if row.status in ("error", "timeout"))
    kinds = f" ({', '.join(f'{kind} {count}' for kind, count in sorted(details.items()))})" if details else ""
    message = f"{mean:.2%} of all verdicts failed{kinds} and were left out of training. Read their completions"
    return [run.finding("F19/verifier", severity, step, message)]


def _last_share(run: RunRecord, identity: str, metric: str, warn: float, error: float, advice: str) -> list[Finding]:
    """A finding when the mean of the last quarter is over a bound."""
    points = run.series(metric)
    mean = mean_of(last_part(points)) if points else 0.0
    if mean <= warn:
        return []
    step = next(step for step, value in points if value > warn)
    message = f"{metric} is {mean:.1%} over the last quarter of the run. {advice}"
    return [run.finding(identity, "error" if mean > error else "warning", step, message)]
