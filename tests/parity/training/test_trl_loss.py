"""Beside TRL's own losses, on the same tensors in float64: value and gradient of every objective both have."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from assay.contracts.objective import KLSpec, LossSpec, MismatchSpec
from assay.training.advantages import reward_advantages
from assay.training.losses import Averaging, importance_weights, kl_loss, policy_loss

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


def by_trl(tensors: Tensors, spec: LossSpec, loss_type: str, weights_BT: torch.Tensor, **changes: Any) -> Any:
    """`GRPOTrainer._compute_loss` itself; only the forward pass is replaced by the given log-probs."""
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
    loss = trl_grpo.GRPOTrainer._compute_loss(trainer, trainer.model, inputs_of(tensors, weights_BT))
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
def test_loss_and_gradient_are_trls(
    tensors: Tensors, objective: Any, theirs: str, changes: dict[str, Any], corrected: bool
) -> None:
    """With k3 in the loss and truncated importance weights (F16, F25, F26)."""
    spec = LossSpec(objective=objective)
    weights_BT = importance_weights(tensors["old"], tensors["sampler"], tensors["mask"], TRUNCATED).weights_BT
    if not corrected:
        weights_BT = torch.ones_like(weights_BT)
    found = by_assay(tensors, spec, KLSpec(coefficient=BETA), weights_BT)
    expected = by_trl(tensors, spec, theirs, weights_BT, **changes)
    torch.testing.assert_close(found, expected, **EXACT)
    assert expected[1].abs().max() > 1e-3


def test_dual_clip_is_trls_two_sided_clip(tensors: Tensors) -> None:
    """Above 1 + clip_high the two are one."""
    far = {**tensors, "new": tensors["new"] + tensors["mask"]}
    ones_BT = torch.ones_like(far["old"])
    plain, dual = LossSpec(), LossSpec(dual_clip=2.5)
    found = by_assay(far, dual, KLSpec(coefficient=BETA), ones_BT)
    torch.testing.assert_close(found, by_trl(far, dual, "grpo", ones_BT), **EXACT)
    assert abs(float(found[0] - by_trl(far, plain, "grpo", ones_BT)[0])) > 0.1


def test_the_weighted_k3_is_trls_bias_correction(tensors: Tensors) -> None:
    ones_BT = torch.ones_like(tensors["old"])
    kl = KLSpec(estimator="k3_weighted_loss", coefficient=BETA)
    found = by_assay(tensors, LossSpec(), kl, ones_BT)
    torch.testing.assert_close(
        found, by_trl(tensors, LossSpec(), "grpo", ones_BT, use_bias_correction_kl=True), **EXACT
    )


def test_bnpo_over_micro_batches_is_trls_gradient_accumulation(tensors: Tensors) -> None:
    spec, halves = LossSpec(objective="bnpo"), [(0, 4), (4, 6)]
    for start, end in halves:
        part = {name: tensor[start:end] for name, tensor in tensors.items()}
        ones_BT = torch.ones_like(part["old"])
        found = by_assay(part, spec, KLSpec(coefficient=BETA), ones_BT, micro_batches=2)
        theirs = by_trl(part, spec, "bnpo", ones_BT, current_gradient_accumulation_steps=2)
        torch.testing.assert_close(found, theirs, **EXACT)


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


REWARDS = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.2, 0.9, 0.4, NAN], dtype=torch.float64)


@pytest.mark.parametrize(("ours", "theirs"), [("group_std", "group"), ("group_mean", "none")])
def test_advantages_are_trls(ours: Any, theirs: str) -> None:
    """Its lines, with its own nanstd; an unjudged reward is NaN there too (F19)."""
    torch.testing.assert_close(reward_advantages(REWARDS, [4, 4], ours), trl_advantages(theirs), **EXACT)


def test_advantages_with_the_batchs_deviation_are_trls() -> None:
    found = reward_advantages(REWARDS, [4, 4], "group_mean_batch_std")
    torch.testing.assert_close(found, trl_advantages("batch"), **EXACT)


def trl_advantages(scale_rewards: str) -> torch.Tensor:
    nanstd: Any = trl_grpo.nanstd
    grouped = REWARDS.view(2, 4)
    advantages = grouped - grouped.nanmean(1, keepdim=True)
    if scale_rewards == "group":
        advantages = advantages / (nanstd(grouped, dim=1)[:, None] + 1e-4)
    if scale_rewards == "batch":
        advantages = advantages / (nanstd(REWARDS) + 1e-4)
    return advantages.flatten().nan_to_num(0.0)


def test_leave_one_out_advantages_are_trls() -> None:
    grouped = REWARDS.view(2, 4)
    others = (grouped.nansum(1, keepdim=True) - grouped) / ((~grouped.isnan()).sum(1, keepdim=True) - 1)
    found = reward_advantages(REWARDS, [4, 4], "leave_one_out")
    torch.testing.assert_close(found, (grouped - others).flatten().nan_to_num(0.0), **EXACT)
