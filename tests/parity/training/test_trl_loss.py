"""Beside TRL's GRPO loss, on the same tensors: value and gradient, for every normaliser both have."""

from __future__ import annotations

from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from assay.contracts.training import TrainSpec
from assay.training.advantages import group_advantages
from assay.training.losses import Normaliser, clipped_loss, importance_weights, kl_loss

trl_grpo = pytest.importorskip(
    "trl.trainer.grpo_trainer", reason="pip install --no-deps trl==1.16.0 to compare with TRL"
)

B, T, BUDGET = 6, 9, 16
LENGTHS = torch.tensor([9, 1, 4, 7, 2, 5])
BETA, LOW, HIGH = 0.07, 0.2, 0.28


@pytest.fixture(scope="module")
def tensors() -> dict[str, torch.Tensor]:
    """Log-probs of policy, old policy, sampler and reference, padded."""
    generator = torch.Generator().manual_seed(3)
    mask_BT = (torch.arange(T)[None] < LENGTHS[:, None]).float()
    old_BT = -3 * torch.rand(B, T, generator=generator) * mask_BT

    def near(scale: float) -> torch.Tensor:
        return (old_BT + scale * torch.randn(B, T, generator=generator)) * mask_BT

    return {
        "mask": mask_BT,
        "old": old_BT,
        "new": near(0.4),
        "ref": near(0.6),
        "sampler": near(0.5),
        "advantages": torch.randn(B, generator=generator),
    }


def by_trl(tensors: dict[str, torch.Tensor], loss_type: str, weights_BT: torch.Tensor) -> tuple[float, torch.Tensor]:
    """`GRPOTrainer._compute_loss` itself; only the forward pass is replaced by the given log-probs."""
    new_BT = tensors["new"].clone().requires_grad_()
    accelerator = SimpleNamespace(
        num_processes=1,
        gather=lambda x: x,
        gather_for_metrics=lambda x: x,
        reduce=lambda x, **_: x,
        sync_gradients=True,
    )
    trainer = SimpleNamespace(
        model=SimpleNamespace(training=True),
        args=SimpleNamespace(delta=None, use_bias_correction_kl=False, steps_per_generation=1),
        accelerator=accelerator,
        _get_per_token_logps_and_entropies=lambda *_, **__: (new_BT, torch.zeros(B, T), None),
        aux_loss_enabled=False,
        top_entropy_quantile=1.0,
        off_policy_mask_threshold=None,
        importance_sampling_level="token",
        beta=BETA,
        epsilon_low=LOW,
        epsilon_high=HIGH,
        loss_type=loss_type,
        use_vllm=True,
        vllm_importance_sampling_correction=True,
        current_gradient_accumulation_steps=1,
        max_completion_length=BUDGET,
        _entropy_bonus_enabled=False,
        use_adaptive_entropy=False,
        _metrics={"train": defaultdict(list)},
    )
    ids_BT = torch.zeros(B, T, dtype=torch.long)
    inputs = {
        "prompt_ids": ids_BT[:, :2],
        "prompt_mask": torch.ones(B, 2),
        "completion_ids": ids_BT,
        "completion_mask": tensors["mask"],
        "advantages": tensors["advantages"],
        "old_per_token_logps": tensors["old"],
        "ref_per_token_logps": tensors["ref"],
        "importance_sampling_ratio": weights_BT,
        "num_items_in_batch": tensors["mask"].sum(),
    }
    loss = trl_grpo.GRPOTrainer._compute_loss(trainer, trainer.model, inputs)
    loss.backward()
    assert new_BT.grad is not None
    return float(loss.detach()), new_BT.grad


def by_assay(tensors: dict[str, torch.Tensor], normaliser: str, weights_BT: torch.Tensor) -> tuple[float, torch.Tensor]:
    spec = TrainSpec.model_validate(
        {
            "steps": 1,
            "loss": {"normaliser": normaliser, "clip_low": LOW, "clip_high": HIGH},
            "kl": {"estimator": "k3_loss", "coefficient": BETA},
        }
    )
    new_BT = tensors["new"].clone().requires_grad_()
    losses_BT = clipped_loss(new_BT, tensors["old"], tensors["advantages"], weights_BT, spec.loss)
    total = Normaliser(normaliser, B, int(LENGTHS.sum()), BUDGET)
    loss = total(losses_BT + kl_loss(new_BT, tensors["ref"], spec.kl), tensors["mask"])
    loss.backward()
    assert new_BT.grad is not None
    return float(loss.detach()), new_BT.grad


@pytest.mark.parametrize(
    ("ours", "theirs"), [("grpo", "grpo"), ("dapo", "dapo"), ("dapo", "bnpo"), ("dr_grpo", "dr_grpo")]
)
@pytest.mark.parametrize("corrected", [True, False])
def test_loss_and_gradient_are_trls(tensors: dict[str, torch.Tensor], ours: str, theirs: str, corrected: bool) -> None:
    """With k3 in the loss, clip-higher and truncated importance weights (F16, F25, F26)."""
    cap = 1.5
    weights_BT = importance_weights(tensors["old"], tensors["sampler"], cap)
    torch.testing.assert_close(weights_BT, torch.clamp((tensors["old"] - tensors["sampler"]).exp(), max=cap))
    if not corrected:
        weights_BT = torch.ones_like(weights_BT)
    loss, gradient = by_assay(tensors, ours, weights_BT)
    expected, expected_gradient = by_trl(tensors, theirs, weights_BT)
    assert loss == pytest.approx(expected, rel=1e-5)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


def test_advantages_are_trls() -> None:
    """Its lines, with its own nanstd: (r − nanmean) / (nanstd + 1e-4); an unjudged reward is NaN there too (F19)."""
    nanstd: Any = trl_grpo.nanstd
    rewards = torch.tensor([1.0, 0.0, 0.0, 1.0, 0.2, 0.9, 0.4, float("nan")])
    grouped = rewards.view(2, 4)
    expected = (grouped - grouped.nanmean(1, keepdim=True)) / (nanstd(grouped, dim=1)[:, None] + 1e-4)
    found = group_advantages(rewards, [4, 4], True)
    torch.testing.assert_close(found, expected.flatten().nan_to_num(0.0))
