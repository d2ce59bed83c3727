"""A step in numbers: duplicates, repetition, mismatch and KL against cases with known answers."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
import torch

from assay.contracts.sampling import SampleRequest
from assay.contracts.seeds import derive
from assay.sampling.torch_engine import TorchSampler
from assay.training.losses import k3, log_ratio
from assay.training.metrics import duplicate_excess, is_repetitive, kl_metrics, mismatch_metrics, rollout_metrics
from assay.training.rollout import Rollout

MakeRollout = Callable[..., Rollout]


def categorical(make_rollout: MakeRollout, probabilities: list[float], seed: int, group: int = 8) -> list[Rollout]:
    """One-token completions drawn independently: 100 groups."""
    draw = random.Random(seed)
    tokens = draw.choices(range(len(probabilities)), probabilities, k=100 * group)
    return [make_rollout(f"g{i // group}", [1], [t], [math.log(probabilities[t])]) for i, t in enumerate(tokens)]


@pytest.mark.parametrize(
    "probabilities", [[0.5, 0.5], [0.9, 0.05, 0.05], [0.999, 0.001], [1.0], [0.01] * 100], ids=lambda p: f"top {p[0]}"
)
def test_duplicates_of_independent_samples_are_no_excess_however_peaked_the_model(
    make_rollout: MakeRollout, probabilities: list[float]
) -> None:
    """The share of equal pairs is 0.25 to 1.0 here; the excess over chance is 0 (F01)."""
    found = [duplicate_excess(categorical(make_rollout, probabilities, seed)) for seed in range(10)]
    assert sum(found) / 10 == pytest.approx(0.0, abs=0.01)


def test_one_seed_for_a_whole_group_drives_the_excess_to_one(
    make_model: Any, byte_tokenizer: Any, make_rollout: MakeRollout
) -> None:
    """83 rollouts held 3 distinct completions (F01): through the real sampler, one seed against derived seeds."""
    sampler = TorchSampler(make_model(spread=0.3), byte_tokenizer, 64)

    def excess(seeds: list[int]) -> float:
        written = sampler.generate([SampleRequest((5, 6), seed, 10, 1.0) for seed in seeds])
        return duplicate_excess([make_rollout("g", [5, 6], list(c.tokens), list(c.logprobs)) for c in written])

    assert excess([7] * 16) == pytest.approx(1.0, abs=0.02)
    assert excess([derive(7, i) for i in range(16)]) == pytest.approx(0.0, abs=0.02)


def test_duplicates_are_looked_for_within_a_prompt_only(make_rollout: MakeRollout) -> None:
    same = [make_rollout(f"g{i}", [1], [4, 5], [-9.0, -9.0]) for i in range(3)]
    assert duplicate_excess(same) == 0.0


@pytest.mark.parametrize(
    ("text", "repetitive"),
    [
        ("4" * 200, True),
        ("The answer is " + "4" * 40, True),
        ("ab" * 30, True),
        ("no no no no no no no no no no no no", True),
        ("1 + 1 = 2, so the answer is \\boxed{2}.", False),
        ("4444", False),
        ("", False),
        ("x" * 12 + " and then a long and healthy explanation of all the steps that follow", False),
        ("\n" * 50, True),
    ],
)
def test_repetition_is_one_short_unit_over_half_of_the_text(text: str, repetitive: bool) -> None:
    """`4444…` came with a ratio of 21 and an accuracy of 0 % (F24)."""
    assert is_repetitive(text) == repetitive


def test_mismatch_is_the_mean_and_the_largest_gap_over_tokens() -> None:
    found = mismatch_metrics([[-1.0, -2.0], [-3.0]], [[-1.5, -2.0], [-2.0]])
    assert found == {"logprob_gap_mean": pytest.approx(0.5), "logprob_gap_max": pytest.approx(1.0)}


def test_the_kl_metric_is_the_k3_of_the_losses() -> None:
    """One formula in two places must not drift apart (F26)."""
    policy, ref = [[-1.0, -4.0], [-0.2]], [[-2.0, -1.0], [-0.2]]
    values = k3(log_ratio(torch.tensor([-1.0, -4.0, -0.2]), torch.tensor([-2.0, -1.0, -0.2])))
    found = kl_metrics(policy, ref)
    assert found["kl"] == pytest.approx(float(values.mean()), rel=1e-5)
    assert found["kl_max"] == pytest.approx(float(values.max()), rel=1e-5)


def test_a_kl_too_large_for_a_float_is_infinite_and_not_an_error() -> None:
    assert kl_metrics([[-2000.0]], [[0.0]]) == {"kl": math.inf, "kl_max": math.inf}


@pytest.mark.parametrize("place", [0, 1])
def test_a_log_prob_that_is_not_a_number_shows_in_mean_and_largest(place: int) -> None:
    """Python's max drops a NaN or keeps it, depending on where it stands (F15)."""
    values = [[-1.0, -2.0]]
    broken = [[math.nan, -2.0] if place == 0 else [-1.0, math.nan]]
    for metrics in (kl_metrics(broken, values), mismatch_metrics(broken, values)):
        assert not any(map(math.isfinite, metrics.values()))


def test_failures_of_the_verifier_are_counted_apart_and_out_of_the_reward(make_rollout: MakeRollout) -> None:
    """F19."""
    rollouts = [
        make_rollout("a", [1], [2, 3], reward=1.0, status="correct", text="\\boxed{1}"),
        make_rollout("a", [1], [2], reward=0.0, status="wrong", finish_reason="length"),
        make_rollout("b", [1], [4, 4, 4], reward=math.nan, status="timeout"),
        make_rollout("b", [1], [5, 6], reward=math.nan, status="error"),
    ]
    found = rollout_metrics(rollouts)
    assert found["reward_mean"] == 0.5
    assert found["correct_share"] == 0.25
    assert found["verifier_failed_share"] == 0.5
    assert found["truncated_share"] == 0.25
    assert found["boxed_share"] == 0.25
    assert (found["completion_tokens_mean"], found["completion_tokens_median"], found["completion_tokens_max"]) == (
        2,
        2,
        3,
    )


def test_a_step_nobody_could_judge_has_no_reward_at_all(make_rollout: MakeRollout) -> None:
    assert math.isnan(rollout_metrics([make_rollout("a", [1], [2], reward=math.nan, status="error")])["reward_mean"])
