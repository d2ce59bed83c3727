"""What verdicts on a step's completions add up to; one whose verifier failed is neither right nor wrong (F19)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from statistics import fmean

from assay.contracts.training import PromptSpec
from assay.statistics.stopping import unbiased_pass_rate
from assay.training.rollout import Rollout


def accuracy(rollouts: Sequence[Rollout]) -> float | None:
    """Mean score of the judged completions; None when not one was judged, which is no accuracy of 0."""
    judged = [rollout.parts["correct"] for rollout in rollouts if rollout.judged]
    return fmean(judged) if judged else None


def problem_scores(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Prompt id -> mean score of its judged completions, where there is one. A prompt's rollouts lie together."""
    groups = groupby(rollouts, key=lambda rollout: rollout.prompt.id)
    scores = {prompt_id: accuracy(list(group)) for prompt_id, group in groups}
    return {prompt_id: score for prompt_id, score in scores.items() if score is not None}


def counts(rollouts: Sequence[Rollout], spec: PromptSpec) -> dict[str, tuple[int, float]]:
    """Prompt id -> (judged, expected correct): an estimate that is right on average, however sampling was stopped."""
    groups = groupby(rollouts, key=lambda rollout: rollout.prompt.id)
    counted = {prompt_id: _count([rollout for rollout in group if rollout.judged], spec) for prompt_id, group in groups}
    return {prompt_id: count for prompt_id, count in counted.items() if count[0]}


def _count(judged: Sequence[Rollout], spec: PromptSpec) -> tuple[int, float]:
    correct = sum(rollout.verdict.status == "correct" for rollout in judged)
    if spec.allocation != "until_mixed" or not judged:
        return len(judged), float(correct)
    chunks = Counter(rollout.sample_index // spec.until_mixed.chunk_samples for rollout in judged)
    sizes = [chunks[chunk] for chunk in sorted(chunks)]
    return len(judged), len(judged) * unbiased_pass_rate(sizes, correct, spec.until_mixed)


def mean_pass_rate(counted: Mapping[str, tuple[int, float]]) -> float:
    """Over prompts, each counting once; NaN when nothing was judged.

    Right on average where answers do not decide how many prompts there are: over the chosen ones, without spares.
    """
    return fmean(correct / judged for judged, correct in counted.values()) if counted else math.nan


def group_sizes(rollouts: Sequence[Rollout]) -> list[int]:
    """Completions of each prompt, in order; those of a prompt lie together."""
    return [len(list(group)) for _, group in groupby(rollouts, key=lambda rollout: rollout.prompt.id)]
