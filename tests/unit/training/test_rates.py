"""Learning-rate schedules against those of transformers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from pydantic import ValidationError
from transformers import (
    get_constant_schedule_with_warmup,
    get_cosine_with_min_lr_schedule_with_warmup,
    get_polynomial_decay_schedule_with_warmup,
)

from assay.contracts.training import OptimizerSpec
from assay.training.rates import learning_rate

PEAK, LOW, WARMUP, TOTAL = 4e-4, 1e-4, 5, 40


def theirs(name: str, low: float) -> list[float]:
    """Rates that transformers sets before update 0, 1, …"""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    schedule: Any
    if name == "constant":
        schedule = get_constant_schedule_with_warmup(optimizer, WARMUP)
    elif name == "linear":
        schedule = get_polynomial_decay_schedule_with_warmup(optimizer, WARMUP, TOTAL, lr_end=low)
    else:
        schedule = get_cosine_with_min_lr_schedule_with_warmup(optimizer, WARMUP, TOTAL, min_lr=low)
    rates = []
    for _ in range(TOTAL + 1):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


@pytest.mark.parametrize("name", ["constant", "linear", "cosine"])
@pytest.mark.parametrize("low", [1e-9, LOW])
def test_rates_are_those_of_transformers_and_warm_up_is_one_update_ahead(name: Any, low: float) -> None:
    """transformers gives the first update a rate of 0, so it is lost."""
    spec = OptimizerSpec(learning_rate=PEAK, schedule=name, min_learning_rate=low, warmup_steps=WARMUP)
    mine, expected = [learning_rate(spec, update, TOTAL) for update in range(TOTAL + 1)], theirs(name, low)
    assert mine[:WARMUP] == pytest.approx(expected[1 : WARMUP + 1])
    assert mine[WARMUP:] == pytest.approx(expected[WARMUP:])


def test_warm_up_may_be_a_share_of_all_updates() -> None:
    spec = OptimizerSpec(learning_rate=1.0, warmup_share=0.25)
    assert [learning_rate(spec, update, 16) for update in range(5)] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_without_warm_up_the_first_update_has_the_full_rate() -> None:
    assert learning_rate(OptimizerSpec(learning_rate=0.5, warmup_steps=0), 0, 10) == 0.5


def test_a_lowest_rate_above_the_peak_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_learning_rate 0\.01 is above learning_rate 0\.001; lower it"):
        OptimizerSpec(learning_rate=1e-3, min_learning_rate=1e-2)


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_behind_the_last_update_the_rate_stays_at_its_lowest(name: Any) -> None:
    spec = OptimizerSpec(learning_rate=PEAK, schedule=name, min_learning_rate=LOW, warmup_steps=WARMUP)
    assert learning_rate(spec, TOTAL + 7, TOTAL) == pytest.approx(LOW)
