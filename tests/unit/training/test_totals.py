"""Figures of a step, summed over its micro-batches, against the same over all tokens at once."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from assay.contracts.objective import LossSpec, MismatchSpec
from assay.training.losses import importance_weights
from assay.training.policy import GradientStats
from assay.training.totals import UpdateTotals

LENGTHS = torch.tensor([5, 1, 3, 4])


def tensors() -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(2)
    old_BT = -torch.rand(4, 5, generator=generator)
    return {
        "ratio": (0.3 * torch.randn(4, 5, generator=generator)).exp(),
        "old": old_BT,
        "sampler": old_BT + 0.6 * torch.randn(4, 5, generator=generator),
        "mask": (torch.arange(5)[None] < LENGTHS[:, None]).float(),
    }


def totals_of(batch: dict[str, torch.Tensor], mismatch: MismatchSpec, cut: list[int]) -> dict[str, float]:
    totals = UpdateTotals()
    for ratio, old, sampler, mask in zip(*(batch[name].split(cut) for name in batch), strict=True):
        importance = importance_weights(old, sampler, mask, mismatch)
        totals.add(ratio.sum(), ratio, importance, mask.bool(), LossSpec().recipe)
    totals.updated(GradientStats(2.0, 0.1, 1e-3))
    return totals.metrics()


@pytest.mark.parametrize("apart", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("cut", [[4], [1, 3], [2, 1, 1]])
@pytest.mark.parametrize("mask", ["none", "token"])
def test_figures_are_those_of_all_real_tokens(cut: list[int], mask: Any, apart: float) -> None:
    """On both sides of 1, and far from it on either."""
    batch, spec = tensors(), MismatchSpec(cap=1.2, mask=mask, mask_below=0.7, mask_above=1.5)
    batch |= {"sampler": batch["sampler"] + apart, "ratio": batch["ratio"] * math.exp(apart)}
    found = totals_of(batch, spec, cut)
    real_BT = batch["mask"].bool()
    raw = (batch["old"] - batch["sampler"])[real_BT].exp()
    dropped = (raw < 0.7) | (raw > 1.5) if mask == "token" else torch.zeros_like(raw, dtype=torch.bool)
    weight, ratio = raw.clamp(max=1.2).masked_fill(dropped, 0.0), batch["ratio"][real_BT]
    expected = {
        "ratio_max": float(ratio.max()),
        "clip_fraction": float(((ratio - 1).abs() > 0.2).float().mean()),
        "importance_ratio_mean": float(raw.mean()),
        "importance_ratio_min": float(raw.min()),
        "importance_ratio_max": float(raw.max()),
        "importance_weight_mean": float(weight.mean()),
        "importance_weight_min": float(weight.min()),
        "importance_weight_max": float(weight.max()),
        "importance_cut_share": float((dropped | (raw > 1.2)).float().mean()),
        "importance_effective_share": float(weight.sum() ** 2 / (len(weight) * weight.square().sum()).clamp(min=1e-9)),
        "grad_norm": 2.0,
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-5)
    assert apart or 0 < found["importance_cut_share"] < 1


def test_a_sampler_that_agrees_costs_nothing() -> None:
    batch = tensors()
    found = totals_of(batch | {"sampler": batch["old"]}, MismatchSpec(), [4])
    ones = [value for name, value in found.items() if name.startswith("importance") and "cut" not in name]
    assert ones == [1.0] * 7
    assert found["importance_cut_share"] == 0.0


def test_a_mask_that_drops_everything_leaves_no_sample() -> None:
    batch = tensors()
    apart = batch | {"sampler": batch["old"] - 3}
    found = totals_of(apart, MismatchSpec(mask="geometric", mask_below=0.9, mask_above=1.1), [4])
    assert (found["importance_cut_share"], found["importance_effective_share"]) == (1.0, 0.0)


def test_the_worst_figure_is_not_hidden_by_a_number() -> None:
    """max(1.0, nan) is 1.0 in Python (F15)."""
    batch = tensors()
    batch["ratio"][0, 0] = math.nan
    assert math.isnan(totals_of(batch, MismatchSpec(), [2, 2])["ratio_max"])


def test_a_step_without_an_update_has_ratios_of_one_and_no_gradient() -> None:
    found = UpdateTotals().metrics()
    assert all(value == 1.0 for name, value in found.items() if "ratio" in name or "weight" in name)
    assert found["grad_norm"] == found["clip_fraction"] == found["importance_cut_share"] == 0.0
    assert found["importance_effective_share"] == 1.0
