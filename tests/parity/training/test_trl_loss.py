"""Beside TRL's own losses, on the same tensors in float64: value and gradient of every objective both have."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from assay.contracts.objective import KLSpec, LossSpec, MismatchSpec
from assay.contracts.training import TrainSpec
from assay.training.advantages import reward_advantages
from assay.training.credit import StepBatch, assign_credit
from assay.training.losses import Averaging, importance_weights, kl_loss, policy_loss
from tests.parity.training.lines import block, run

trl_grpo = pytest.importorskip(
    "trl.trainer.grpo_trainer", reason="pip install --no-deps trl==1.16.0 to compare with TRL"
)
trl_rloo = pytest.importorskip("trl.trainer.rloo_trainer")

Tensors = dict[str, torch.Tensor]
B, T, BUDGET = 6, 9, 16
LENGTHS = torch.tensor([9, 1, 4, 7, 2, 5])
BETA = 0.07
EXACT: dict[str, Any] = {"rtol": 0.0, "atol": 1e-6}
NAN = float("nan")


@pytest.fixture(scope="module")
def tensors() -> Tensors:
    """Log-probs of policy, old policy, sampler and reference, padded; ratios on both sides of every clip."""
    generator = torch.Generator().manual_seed(3)
    mask_BT = (torch.arange(T)[None] < LENGTHS[:, None]).double()
    old_BT = -3 * torch.rand(B, T, generator=generator, dtype=torch.float64) * mask_BT

    def near(scale: float) -> torch.Tensor:
        return (old_BT + scale * torch.randn(B, T, generator=generator, dtype=torch.float64)) * mask_BT

    advantages_B = torch.randn(B, generator=generator, dtype=torch.float64)
    return {
        "mask": mask_BT,
        "old": old_BT,
        "new": near(0.8),
        "ref": near(0.6),
        "sampler": near(0.5),
        "advantages": advantages_B,
    }


def accelerator() -> SimpleNamespace:
    return SimpleNamespace(
        num_processes=1,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, **_: x,
        sync_gradients=True,
    )


def by_trl(
    tensors: Tensors,
    spec: LossSpec,
    loss_type: str,
    weights_BT: torch.Tensor,
    tokens: torch.Tensor | None = None,
    **changes: Any,
) -> Any:
    """`GRPOTrainer._compute_loss` itself; only the forward pass is replaced by the given log-probs.

    `tokens` are those of the whole update, where the tensors are a part of it.
    """
    new_BT = tensors["new"].clone().requires_grad_()
    recipe = spec.recipe
    high = 1 + recipe.clip_high if loss_type == "cispo" else recipe.clip_high
    arguments = {"delta": recipe.dual_clip, "use_bias_correction_kl": False, "steps_per_generation": 1}
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(**arguments),
        accelerator=accelerator(),
        _get_per_token_logps_and_entropies=lambda *_, **__: (new_BT, torch.zeros_like(new_BT), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=BETA,
        epsilon_low=recipe.clip_low,
        epsilon_high=high,
        loss_type=loss_type,
        use_vllm=True,
        vllm_importance_sampling_correction=True,
        current_gradient_accumulation_steps=1,
        max_completion_length=BUDGET,
        _entropy_bonus_enabled=False,
        use_adaptive_entropy=False,
        _metrics={"train": defaultdict(list)},
    )
    for name, value in changes.items():
        setattr(trainer.args if name in arguments else trainer, name, value)
    inputs = inputs_of(tensors, weights_BT) | ({} if tokens is None else {"num_items_in_batch": tokens})
    loss = trl_grpo.GRPOTrainer._compute_loss(trainer, trainer.model, inputs)
    return loss.detach(), torch.autograd.grad(loss, new_BT)[0]


def inputs_of(tensors: Tensors, weights_BT: torch.Tensor) -> dict[str, torch.Tensor]:
    rows = len(tensors["mask"])
    ids_BT = torch.zeros(rows, T, dtype=torch.long)
    return {
        "prompt_ids": ids_BT[:, :2],
        "prompt_mask": torch.ones(rows, 2),
        "completion_ids": ids_BT,
        "completion_mask": tensors["mask"],
        "advantages": tensors["advantages"],
        "old_per_token_logps": tensors["old"],
        "old_logps": (tensors["old"] * tensors["mask"]).sum(1),
        "ref_per_token_logps": tensors["ref"],
        "importance_sampling_ratio": weights_BT,
        "num_items_in_batch": tensors["mask"].sum(),
    }


def by_assay(tensors: Tensors, loss: LossSpec, kl: KLSpec, weights_BT: torch.Tensor, micro_batches: int = 1) -> Any:
    new_BT = tensors["new"].clone().requires_grad_()
    recipe, mask_BT = loss.recipe, tensors["mask"]
    advantages_BT = tensors["advantages"][:, None].expand_as(mask_BT)
    found = policy_loss(loss.objective, recipe, new_BT, tensors["old"], advantages_BT, mask_BT)
    average = Averaging(recipe.normaliser, len(mask_BT), int(mask_BT.sum()), BUDGET, micro_batches)
    total = average(weights_BT * found.losses_BT + kl_loss(new_BT, tensors["ref"], tensors["old"], kl), mask_BT)
    return total.detach(), torch.autograd.grad(total, new_BT)[0]


TRUNCATED = MismatchSpec(cap=1.5)
CASES = [
    ("grpo", "grpo", {}),
    ("dr_grpo", "dr_grpo", {}),
    ("dapo", "dapo", {}),
    ("bnpo", "bnpo", {}),
    ("cispo", "cispo", {}),
    ("gspo", "grpo", {"importance_sampling_level": "sequence"}),
]


@pytest.mark.parametrize(("objective", "theirs", "changes"), CASES, ids=[case[0] for case in CASES])
@pytest.mark.parametrize("corrected", [True, False])
@pytest.mark.parametrize("estimator", ["k3_loss", "k3_weighted_loss"])
def test_loss_and_gradient_are_trls(
    tensors: Tensors, objective: Any, theirs: str, changes: dict[str, Any], corrected: bool, estimator: Any
) -> None:
    """With either KL term in the loss, and truncated importance weights (F16, F25, F26)."""
    spec, unbiased = LossSpec(objective=objective), estimator == "k3_weighted_loss"
    if unbiased and objective == "gspo":
        pytest.skip("the KL of a token is weighted by its own ratio here, and by the completion's in TRL")
    weights_BT = importance_weights(tensors["old"], tensors["sampler"], tensors["mask"], TRUNCATED).weights_BT
    if not corrected:
        weights_BT = torch.ones_like(weights_BT)
    found = by_assay(tensors, spec, KLSpec(estimator=estimator, coefficient=BETA), weights_BT)
    expected = by_trl(tensors, spec, theirs, weights_BT, use_bias_correction_kl=unbiased, **changes)
    torch.testing.assert_close(found, expected, **EXACT)
    assert expected[1].abs().max() > 1e-3


@pytest.mark.parametrize("objective", ["grpo", "dr_grpo", "dapo", "bnpo"])
def test_dual_clip_is_trls_two_sided_clip(tensors: Tensors, objective: Any) -> None:
    """Above 1 + clip_high the two are one."""
    far = {**tensors, "new": tensors["new"] + tensors["mask"]}
    ones_BT = torch.ones_like(far["old"])
    plain, dual = LossSpec(objective=objective), LossSpec(objective=objective, dual_clip=2.5)
    found = by_assay(far, dual, KLSpec(coefficient=BETA), ones_BT)
    torch.testing.assert_close(found, by_trl(far, dual, objective, ones_BT), **EXACT)
    assert abs(float(found[0] - by_trl(far, plain, objective, ones_BT)[0])) > 0.05


@pytest.mark.parametrize(("objective", "theirs", "changes"), CASES, ids=[case[0] for case in CASES])
def test_an_update_is_trls_micro_batches_together(
    tensors: Tensors, objective: Any, theirs: str, changes: dict[str, Any]
) -> None:
    """TRL's two halves, each with its share, against the whole; of `bnpo` half by half, as it depends on them."""
    spec, kl, tokens = LossSpec(objective=objective), KLSpec(coefficient=BETA), tensors["mask"].sum()
    halves = [{name: tensor[half] for name, tensor in tensors.items()} for half in (slice(3), slice(3, 6))]
    changes = changes | {"current_gradient_accumulation_steps": 2, "steps_per_generation": 2}
    expected = [by_trl(half, spec, theirs, torch.ones_like(half["old"]), tokens, **changes) for half in halves]
    if objective == "bnpo":
        found = together([by_assay(half, spec, kl, torch.ones_like(half["old"]), 2) for half in halves])
    else:
        found = by_assay(tensors, spec, kl, torch.ones_like(tensors["old"]))
    torch.testing.assert_close(found, together(expected), **EXACT)


def together(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum of the values, and the gradients one under the other."""
    values, gradients = zip(*parts, strict=True)
    return torch.stack(values).sum(), torch.cat(gradients)


def test_rloo_is_trls(tensors: Tensors) -> None:
    """`RLOOTrainer._compute_loss`: the completion is one action; near the old policy, where products stay in bounds."""
    close = {**tensors, "new": tensors["old"] + 0.1 * (tensors["new"] - tensors["old"])}
    new_BT = close["new"].clone().requires_grad_()
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        accelerator=accelerator(),
        _get_per_token_logps_and_entropies=lambda *_, **__: (new_BT, torch.zeros_like(new_BT), None),
        aux_loss_enabled=False,
        epsilon_low=0.2,
        epsilon_high=0.2,
        _metrics={"train": defaultdict(list)},
    )
    ones_BT = torch.ones_like(close["old"])
    loss = trl_rloo.RLOOTrainer._compute_loss(trainer, trainer.model, inputs_of(close, ones_BT))
    expected = loss.detach(), torch.autograd.grad(loss, new_BT)[0]
    found = by_assay(close, LossSpec(objective="rloo"), KLSpec(coefficient=0.0), ones_BT)
    torch.testing.assert_close(found, expected, **EXACT)


MODES: dict[str, tuple[tuple[float | None, float], dict[str, Any]]] = {
    "token_truncate": ((None, 1.3), {"weight": "token", "cap": 1.3}),
    "token_mask": ((0.8, 1.4), {"weight": "token", "cap": 1.4, "mask": "token", "mask_below": 0.8, "mask_above": 1.4}),
    "sequence_truncate": ((None, 1.3), {"weight": "sequence", "cap": 1.3}),
    "sequence_mask": (
        (None, 3.0),
        {"weight": "sequence", "cap": 3.0, "mask": "sequence", "mask_below": 0, "mask_above": 3.0},
    ),
}
"""TRL's mode -> its smallest and largest ratio, and the same as `train.mismatch`."""


@pytest.mark.parametrize("mode", MODES)
def test_the_samplers_correction_is_trls(tensors: Tensors, mode: str) -> None:
    """Its lines in `_generate_and_score_completions` (F25)."""
    (least, most), ours = MODES[mode]
    method, mask_BT = trl_grpo.GRPOTrainer._generate_and_score_completions, tensors["mask"]
    lines = block(
        method,
        lambda line: (
            line.startswith("if self.use_vllm and self.vllm_importance_sampling_correction:")
            and "vllm_importance_sampling_ratio = torch.exp" in line
        ),
    )
    trainer = SimpleNamespace(
        use_vllm=True,
        vllm_importance_sampling_correction=True,
        vllm_importance_sampling_mode=mode,
        vllm_importance_sampling_clip_min=least,
        vllm_importance_sampling_clip_max=most,
    )
    logprobs = {"old_per_token_logps": tensors["old"], "sampling_per_token_logps": tensors["sampler"]}
    told = run(method, lines, self=trainer, completion_mask=mask_BT, tool_mask=None, **logprobs)
    spec = MismatchSpec.model_validate(ours)
    found_BT = importance_weights(tensors["old"], tensors["sampler"], mask_BT, spec).weights_BT
    expected_BT = told["vllm_importance_sampling_ratio"].expand_as(mask_BT)
    torch.testing.assert_close(found_BT * mask_BT, expected_BT * mask_BT, **EXACT)
    assert len(set(expected_BT[mask_BT.bool()].tolist())) > 2


REWARDS = torch.tensor([1, 0, 0, 1, 0.2, 0.9, 0.4, NAN, NAN, 1, NAN, NAN, 0.5, 0.5, 0.5, 0.5], dtype=torch.float64)
SIZES = [4, 4, 4, 4]


@pytest.mark.parametrize(
    ("ours", "theirs"), [("group_std", "group"), ("group_mean", "none"), ("group_mean_batch_std", "batch")]
)
def test_advantages_are_trls(ours: Any, theirs: str) -> None:
    """Its lines in `_generate_and_score_completions`; an unjudged reward is NaN there too (F19)."""
    method = trl_grpo.GRPOTrainer._generate_and_score_completions
    lines = block(method, lambda line: line.startswith("if self.multi_objective_aggregation == 'sum_then_normalize'"))
    trainer = SimpleNamespace(
        multi_objective_aggregation="sum_then_normalize",
        scale_rewards=theirs,
        reward_weights=torch.ones(1, dtype=torch.float64),
        reward_funcs=[None],
    )
    told = run(method, lines, self=trainer, **REWARDED)
    found = reward_advantages(REWARDS, SIZES, ours)
    torch.testing.assert_close(found, told["advantages"].nan_to_num(0.0), **EXACT)


REWARDED = {
    "device": "cpu",
    "rewards_per_func": REWARDS[:, None],
    "unscorable_mask": REWARDS.isnan(),
    "num_generations": 4,
}


@pytest.mark.parametrize("beta", [0.0, 0.05])
def test_leave_one_out_advantages_are_trls(beta: float) -> None:
    """Its lines in `_generate_and_score_completions`, with the KL in the reward and without."""
    method = trl_rloo.RLOOTrainer._generate_and_score_completions
    lines = block(
        method,
        lambda line: line.startswith("rewards = (rewards_per_func"),
        lambda line: line.startswith("advantages = torch.nan_to_num"),
    )
    lengths = [3, 5, 2, 9] * 4
    mask_BT = (torch.arange(T)[None] < torch.tensor(lengths)[:, None]).double()
    generator = torch.Generator().manual_seed(1)
    old_BT, ref_BT = (-torch.rand(16, T, generator=generator, dtype=torch.float64) for _ in range(2))
    trainer = SimpleNamespace(
        reward_weights=torch.ones(1, dtype=torch.float64),
        reward_clip_range=None,
        beta=beta,
        normalize_advantages=False,
    )
    tensors = {"old_per_token_logps": old_BT, "ref_per_token_logps": ref_BT, "completion_mask": mask_BT}
    told = run(method, lines, self=trainer, gather=lambda x: x, **REWARDED, **tensors)
    rows = [SimpleNamespace(reward=reward, completion=SimpleNamespace(tokens=[0] * n, logprobs=[0.0] * n))
            for reward, n in zip(REWARDS.tolist(), lengths, strict=True)]  # fmt: skip
    values = [[row[:n] for row, n in zip(all_BT.tolist(), lengths, strict=True)] for all_BT in (old_BT, ref_BT)]
    spec = {"loss": {"objective": "rloo"}, "kl": {"estimator": "k1_reward", "coefficient": beta}}
    batch = StepBatch(rows, SIZES, *values, BUDGET)  # type: ignore[arg-type]
    found = assign_credit(batch, TrainSpec.model_validate({"steps": 1} | spec)).advantages
    expected = told["advantages"].nan_to_num(0.0).tolist()
    assert [row[0] for row in found] == pytest.approx(expected, abs=1e-6)
