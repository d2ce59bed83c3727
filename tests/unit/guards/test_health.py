"""Each failure, replayed from its numbers, is named; a healthy run is left in peace."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from assay.contracts.manifest import Finding
from assay.contracts.records import TraceRow
from assay.contracts.training import TrainSpec
from assay.guards.health import FormatRates, format_drift, training_health
from assay.guards.run_record import RunRecord

STEPS = 40
Curve = Callable[[int], float]


def constant(value: float) -> Curve:
    return lambda _: value


HEALTHY: dict[str, Curve] = {
    "reward_mean": lambda step: 0.30 + 0.3 * step / STEPS,
    "correct_share": lambda step: 0.30 + 0.3 * step / STEPS,
    "validation_accuracy": lambda step: 0.32 + 0.25 * step / STEPS,
    "mixed_group_share": lambda step: 0.6 - 0.2 * step / STEPS,
    "kl": lambda step: 0.002 * step,
    "kl_max": lambda step: 0.5 + 0.1 * step,
    "entropy": lambda step: 0.6 - 0.3 * step / STEPS,
    "grad_norm": lambda step: 0.8 + 0.1 * (step % 3),
    "grad_rms": constant(2e-5),
    "ratio_max": constant(1.0),
    "clip_fraction": constant(0.0),
    "logprob_gap_mean": constant(0.003),
    "completion_tokens_mean": lambda step: 120 + step,
    "completion_tokens_median": lambda step: 110 + step,
    "truncated_share": constant(0.01),
    "repetition_share": constant(0.0),
    "duplicate_excess_share": constant(0.002),
    "verifier_failed_share": constant(0.0),
}


def trace(step: int, index: int, tokens: int, reward: float, **changed: Any) -> TraceRow:
    row: dict[str, Any] = {
        "run": "0" * 20, "arm": "grpo", "seed": 0, "step": step, "problem_id": f"t/{step}", "task": "t", "level": "all",
        "sample_index": index, "request_seed": 1000 * step + index, "text": "", "finish_reason": "stop",
        "completion_tokens": tokens, "logprob_sum_trainer": -1.0, "logprob_sum_sampler": -1.0, "status": "correct",
        "extracted": None, "reward": reward, "reward_parts": {}, "advantage": 0.0, "staleness_steps": 0,
    }  # fmt: skip
    return TraceRow(**(row | changed))


def run_of(curves: dict[str, Curve] | None = None, traces: list[TraceRow] | None = None, **train: Any) -> RunRecord:
    spec = TrainSpec.model_validate({"steps": STEPS} | train)
    metrics = {step: {name: curve(step) for name, curve in (HEALTHY | (curves or {})).items()} for step in range(STEPS)}
    return RunRecord("grpo/seed0", spec, metrics, traces or [], validation_problems=1319)


def found(run: RunRecord) -> dict[str, Finding]:
    return {finding.id: finding for finding in training_health(run)}


def test_a_healthy_run_has_no_findings() -> None:
    traces = [trace(step, index, 100 + 3 * index, float(index % 2)) for step in range(STEPS) for index in range(8)]
    assert training_health(run_of(traces=traces)) == []


def test_a_run_without_metrics_has_no_findings() -> None:
    assert training_health(RunRecord("grpo/seed0", TrainSpec(steps=1), {})) == []


def test_f15_kl_2685_then_nan_within_eight_steps() -> None:
    """F15."""

    def kl(step: int) -> float:
        return [0.0, 0.01, 0.4, 12.0, 350.0, 2685.0][step] if step < 6 else math.nan

    findings = found(run_of({"kl": kl}, optimizer={"eps": 1e-7, "warmup_steps": 0}))
    assert findings["F15/not-finite"].where == "grpo/seed0: step 6"
    assert findings["F15/kl"].severity == "error"
    assert findings["F15/kl"].where == "grpo/seed0: step 3"
    assert "2,685" in findings["F15/kl"].message
    assert findings.keys() == {"F15/not-finite", "F15/kl"}


def test_f16_adam_eps_above_the_gradient_rms() -> None:
    """F16: eps 1e-4 against a gradient RMS of 1e-5 … 5e-5."""
    findings = found(run_of({"grad_rms": lambda step: 1e-5 + 1e-6 * step}, optimizer={"eps": 1e-4}))
    assert findings["F16/adam-eps"].severity == "error"
    assert "Adam's eps 0.0001 against a gradient RMS of 2.9e-05" in findings["F16/adam-eps"].message


def test_f20_reward_healthy_while_validation_falls() -> None:
    """F20: reward 0.6 to 0.7, evaluation 28.9 to 22.3 %."""
    curves: dict[str, Curve] = {
        "reward_mean": lambda step: 0.6 + 0.1 * step / STEPS,
        "validation_accuracy": lambda step: 0.289 if step < 10 else 0.289 - 0.066 * min(1.0, (step - 9) / 20),
    }
    findings = found(run_of(curves))
    assert findings.keys() == {"F20/divergence"}
    assert "28.9% to 22.3%" in findings["F20/divergence"].message
    assert "checkpoint of step 0" in findings["F20/divergence"].message


def test_a_fall_of_validation_inside_the_noise_is_not_a_finding() -> None:
    """F34: 64 problems cannot tell 28.9 from 22.3 %."""
    run = run_of({"validation_accuracy": lambda step: 0.289 - 0.066 * step / STEPS})
    small = RunRecord(run.label, run.spec, run.metrics, validation_problems=64)
    assert training_health(small) == []


def test_f21_mode_collapse_at_a_high_learning_rate() -> None:
    """F21: accuracy 34 to 4.6 %, median completion 1 token, gradient norm 148."""
    curves: dict[str, Curve] = {
        "reward_mean": lambda step: 0.34 if step < 15 else 0.046,
        "correct_share": lambda step: 0.34 if step < 15 else 0.046,
        "validation_accuracy": lambda step: 0.34 if step < 15 else 0.046,
        "completion_tokens_median": lambda step: 110.0 if step < 15 else 1.0,
        "grad_norm": lambda step: 148.0 if step == 14 else 0.9,
    }
    findings = found(run_of(curves))
    assert findings["F21/length"].where == "grpo/seed0: step 15"
    assert "from 110 to 1 tokens" in findings["F21/length"].message
    assert findings["F21/gradient"].severity == "error"
    assert "reaches 148" in findings["F21/gradient"].message


def test_shorter_answers_that_are_right_more_often_are_no_failure() -> None:
    assert training_health(run_of({"completion_tokens_median": lambda step: 100.0 if step < 20 else 15.0})) == []


def test_f22_entropy_gone_and_kl_of_thousands() -> None:
    """F22: entropy 0.008, kl max 9,748 at beta 1e-4."""
    curves: dict[str, Curve] = {
        "entropy": lambda step: 0.6 * 0.85**step if step < 26 else 0.008,
        "kl_max": lambda step: 9748.0 if step == 33 else 2.0,
    }
    findings = found(run_of(curves, kl={"coefficient": 1e-4}))
    assert findings["F22/entropy"].severity == "error"
    assert "0.008 nats" in findings["F22/entropy"].message
    assert (findings["F22/kl"].where, findings["F22/kl"].severity) == ("grpo/seed0: step 33", "error")
    assert "9,748" in findings["F22/kl"].message


def test_f23_reward_zero_with_a_large_gradient() -> None:
    """F23: reward 0.00, gradient norm 46.75 at step 160."""
    curves: dict[str, Curve] = {
        "reward_mean": lambda step: 0.45 if step < 16 else 0.0,
        "grad_norm": lambda step: 46.75 if step == 16 else 0.9,
    }
    findings = found(run_of(curves))
    assert (findings["F23/reward"].severity, findings["F23/reward"].where) == ("error", "grpo/seed0: step 16")
    assert findings["F21/gradient"].severity == "warning"
    assert "46.75" in findings["F21/gradient"].message


def test_f24_ratio_of_22_and_output_of_fours() -> None:
    """F24: PPO ratio 21.75 with a clip of 0.2, output `4444…`."""
    curves: dict[str, Curve] = {
        "ratio_max": lambda step: 1.1 if step < 20 else 21.75,
        "repetition_share": lambda step: 0.0 if step < 20 else 0.95,
    }
    findings = found(run_of(curves, updates_per_step=4))
    assert findings["F24/ratio"].severity == "error"
    assert "21.75 with a clip at 1.2" in findings["F24/ratio"].message
    assert findings["F24/repetition"].severity == "error"


def test_f25_clipping_although_the_policy_is_its_own_sampler() -> None:
    """F25: clip fraction 0.08 on-policy, ratio max 1.51."""
    curves: dict[str, Curve] = {"ratio_max": constant(1.51), "clip_fraction": constant(0.08)}
    findings = found(run_of(curves))
    assert "ratio_max 1.51, clip_fraction 0.08" in findings["F25/ratio"].message
    assert training_health(run_of(curves, updates_per_step=4)) == [], "off-policy, the clip is there to be used"


def test_f25_log_probs_that_drift_apart() -> None:
    """F25, F09."""
    findings = found(run_of({"logprob_gap_mean": lambda step: 0.003 if step < 9 else 0.37}))
    assert findings["F25/logprob-gap"].where == "grpo/seed0: step 9"


def test_f32_kl_spikes_with_a_reward_that_grows_with_length() -> None:
    """F32: KL spikes 1,557 / 27,087 / 2,433 with rising reward; 70 to 100 % of completions clipped."""
    spikes = {13: 1557.0, 22: 27087.0, 31: 2433.0}
    curves: dict[str, Curve] = {
        "kl": lambda step: spikes.get(step, 0.05),
        "truncated_share": lambda step: min(1.0, 0.7 + 0.01 * step),
        "completion_tokens_mean": lambda step: 100 + 4 * step,
        "validation_accuracy": constant(0.3),
    }
    traces = [
        trace(step, index, 60 + 4 * step + 10 * index, 0.1 * index) for step in range(STEPS) for index in range(8)
    ]
    findings = found(run_of(curves, traces))
    assert "27,087" in findings["F32/kl"].message
    assert findings["F32/kl"].where == "grpo/seed0: step 13"
    assert findings["F32/truncated"].severity == "error"
    assert "r = 1.00 within problems, n = 320" in findings["F32/length-reward"].message


def test_length_that_pays_because_it_is_right_is_no_failure() -> None:
    """F32's rule needs a validation that does not gain: reasoning longer and better is what RL is for."""
    curves: dict[str, Curve] = {"completion_tokens_mean": lambda step: 100 + 4 * step}
    traces = [trace(step, index, 60 + 10 * index, float(index > 3)) for step in range(STEPS) for index in range(8)]
    assert training_health(run_of(curves, traces)) == []


def test_f01_samples_that_share_a_seed() -> None:
    """F01: 83 rollouts held 3 distinct completion sets."""
    traces = [trace(step, index, 50, 1.0, request_seed=42) for step in range(3) for index in range(4)]
    findings = found(run_of({"duplicate_excess_share": constant(0.96)}, traces))
    assert findings["F01/duplicates"].severity == findings["F01/seeds"].severity == "error"


def test_f19_verdicts_that_failed_are_counted_by_kind() -> None:
    """F19."""
    traces = [
        trace(0, index, 50, math.nan, status=status) for index, status in enumerate(["error", "timeout", "error"])
    ]
    findings = found(run_of({"verifier_failed_share": lambda step: 0.05 if step > 3 else 0.0}, traces))
    assert findings["F19/verifier"].severity == "warning"
    assert "4.50% of all verdicts failed (error 2, timeout 1)" in findings["F19/verifier"].message
    assert findings["F19/verifier"].where.endswith("step 4")


def test_f19_a_verifier_that_is_down_for_a_step_is_no_f15() -> None:
    """F19: no verdict, no reward; nothing is lost."""
    missing = dict.fromkeys(("reward_mean", "reward_std", "pass_rate"), lambda step: math.nan if step == 9 else 0.45)
    curves = missing | {"verifier_failed_share": lambda step: float(step == 9)}
    assert found(run_of(curves)).keys() == {"F19/verifier"}


def test_groups_that_teach_nothing_are_a_finding() -> None:
    assert found(run_of({"mixed_group_share": constant(0.05)}))["idle-groups"].severity == "warning"


def test_f04_format_lost_while_knowledge_stays() -> None:
    """F04: exact match 28.2 to 25.7 % while math_verify stayed at 39 %."""
    (finding,) = format_drift("grpo", FormatRates(0.282, 0.39, 5000), FormatRates(0.257, 0.39, 5000))
    assert finding.failure == "F04"
    assert "28.2% to 25.7%" in finding.message


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (FormatRates(0.282, 0.39, 64), FormatRates(0.257, 0.39, 64)),
        (FormatRates(0.28, 0.39, 5000), FormatRates(0.18, 0.29, 5000)),
        (FormatRates(0.1, 0.39, 5000), FormatRates(0.6, 0.65, 5000)),
    ],
    ids=["noise", "knowledge lost as much", "format gained"],
)
def test_other_changes_are_not_format_drift(before: FormatRates, after: FormatRates) -> None:
    assert format_drift("grpo", before, after) == []
