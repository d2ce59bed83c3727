"""What one step's completions look like in numbers: what guards watch, plots show and the report explains."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean, median, pstdev

from assay.guards.text import distinct_share, is_repetitive
from assay.training.rollout import Rollout
from assay.verifiers.extract import boxed


def rollout_metrics(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Rewards, lengths, failures and repetition of one step. Shares are fractions of the completions."""
    lengths = [len(rollout.completion.tokens) for rollout in rollouts]
    rewards = [rollout.reward for rollout in rollouts if not math.isnan(rollout.reward)]
    return {
        "samples": float(len(rollouts)),
        "reward_mean": fmean(rewards) if rewards else math.nan,
        "reward_std": pstdev(rewards) if rewards else math.nan,
        "correct_share": _share(rollout.verdict.status == "correct" for rollout in rollouts),
        "boxed_share": _share(boxed(rollout.completion.text) is not None for rollout in rollouts),
        "unparseable_share": _share(rollout.verdict.status == "unparseable" for rollout in rollouts),
        "verifier_failed_share": _share(rollout.verdict.status in ("error", "timeout") for rollout in rollouts),
        "truncated_share": _share(rollout.completion.finish_reason == "length" for rollout in rollouts),
        "repetition_share": _share(is_repetitive(rollout.completion.text) for rollout in rollouts),
        "distinct_share": fmean(distinct_share(rollout.completion.tokens) for rollout in rollouts),
        "duplicate_excess_share": duplicate_excess(rollouts),
        "completion_tokens_mean": fmean(lengths),
        "completion_tokens_median": float(median(lengths)),
        "completion_tokens_max": float(max(lengths)),
    }


def _share(flags: Iterable[bool]) -> float:
    return fmean(map(float, flags))


def duplicate_excess(rollouts: Sequence[Rollout]) -> float:
    """Share of same-prompt pairs that are identical, beyond what independent sampling explains.

    For independent samples P(x_j = x_i | x_i) = p(x_i) = exp(Σ log-probs of x_i), so the mean over pairs of
    1[x_i = x_j] − (p(x_i) + p(x_j)) / 2 is 0 on average, however peaked the model; one fixed seed drives it to 1 (F01).
    """
    groups: dict[str, list[Rollout]] = defaultdict(list)
    for rollout in rollouts:
        groups[rollout.prompt.id].append(rollout)
    excess = [_pair_excess(a, b) for group in groups.values() for a, b in combinations(group, 2)]
    return fmean(excess) if excess else 0.0


def _pair_excess(a: Rollout, b: Rollout) -> float:
    expected = (math.exp(sum(a.completion.logprobs)) + math.exp(sum(b.completion.logprobs))) / 2
    return float(a.completion.tokens == b.completion.tokens) - expected


def largest(*values: float) -> float:
    """The largest value; NaN if one is, where Python's max may drop it and hide the worst of all (F15)."""
    return math.nan if any(map(math.isnan, values)) else max(values)


def mismatch_metrics(trainer: Sequence[Sequence[float]], sampler: Sequence[Sequence[float]]) -> dict[str, float]:
    """How far the trainer's log-probs of the sampled tokens lie from the sampler's (F09, F25). Nats per token."""
    gaps = [
        abs(a - b) for mine, theirs in zip(trainer, sampler, strict=True) for a, b in zip(mine, theirs, strict=True)
    ]
    return {"logprob_gap_mean": fmean(gaps), "logprob_gap_max": largest(*gaps)}


def kl_metrics(policy: Sequence[Sequence[float]], reference: Sequence[Sequence[float]]) -> dict[str, float]:
    """k3 KL to the reference over all sampled tokens: mean and largest (F22, F26)."""
    values = [
        _k3(a, b) for mine, theirs in zip(policy, reference, strict=True) for a, b in zip(mine, theirs, strict=True)
    ]
    return {"kl": fmean(values), "kl_max": largest(*values)}


def _k3(logprob: float, ref: float) -> float:
    return math.expm1(ref - logprob) - (ref - logprob) if ref - logprob < 700 else math.inf
