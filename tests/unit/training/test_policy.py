"""The policy's log-probs against plain forward passes, and its update against torch's own parts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from assay.contracts.training import OptimizerSpec
from assay.training.batching import collate
from assay.training.policy import Policy, token_logprobs
from assay.training.rollout import Rollout


def plain_logprobs(model: Any, rollout: Rollout, temperature: float) -> list[float]:
    """One sequence, no padding, no options: log softmax(logits / T) of each completion token."""
    sequence = [*rollout.prompt_tokens, *rollout.completion_tokens]
    with torch.no_grad():
        logits_SV = model(torch.tensor([sequence])).logits[0].double() / temperature
    logprobs_SV = torch.log_softmax(logits_SV, dim=-1)
    start = len(rollout.prompt_tokens)
    return [float(logprobs_SV[place - 1, sequence[place]]) for place in range(start, len(sequence))]


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.7])
@pytest.mark.parametrize("budget", [1, 40, 10_000])
def test_log_probs_are_those_of_a_plain_forward_pass_at_the_temperature(
    make_model: Any, rollouts: list[Rollout], temperature: float, budget: int
) -> None:
    """Whatever the padding and the micro-batches; trainer at 0.6 against sampler at 1.0 gave a KL above 1 (F09)."""
    model = make_model()
    policy = Policy(model, OptimizerSpec(), temperature, budget)
    found = policy.logprobs(rollouts, model)
    for rollout, values in zip(rollouts, found, strict=True):
        assert values == pytest.approx(plain_logprobs(model, rollout, temperature), abs=2e-5)


def test_log_probs_on_padding_are_zero_however_unlikely_the_pad_id(make_model: Any, rollouts: list[Rollout]) -> None:
    """Padding is cleared before any exponential sees it: e^r of an unlikely pad id is infinite, and inf · 0 is NaN."""
    model = make_model(spread=4.0)
    batch = collate(rollouts, list(range(len(rollouts))), torch.device("cpu"))
    logprobs_BT = token_logprobs(model, batch, 1.0)
    assert logprobs_BT[batch.mask_BT == 0].eq(0).all()
    assert logprobs_BT[batch.mask_BT == 1].lt(0).any()


def test_the_reference_is_the_start_model_and_stays_it(make_model: Any, rollouts: list[Rollout]) -> None:
    policy = Policy(make_model(), OptimizerSpec(learning_rate=0.1, warmup_steps=0), 1.0, 10_000)
    before = policy.logprobs(rollouts, policy.reference)
    assert before == policy.logprobs(rollouts, policy.model)
    token_logprobs(policy.model, policy.batches(rollouts, range(12))[0], 1.0).sum().backward()
    policy.update()
    assert policy.logprobs(rollouts, policy.reference) == before
    assert policy.logprobs(rollouts, policy.model) != before


def test_the_learning_rate_warms_up_linearly_and_then_stays(make_model: Any) -> None:
    """F15."""
    policy = Policy(make_model(), OptimizerSpec(learning_rate=1e-3, warmup_steps=4), 1.0, 100)
    rates = []
    for policy.updates in range(6):
        rates.append(policy.learning_rate())
    assert rates == pytest.approx([0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 1e-3, 1e-3])


def test_without_warm_up_the_first_update_has_the_full_rate(make_model: Any) -> None:
    assert Policy(make_model(), OptimizerSpec(learning_rate=0.5, warmup_steps=0), 1.0, 100).learning_rate() == 0.5


@pytest.mark.parametrize("max_norm", [1e-3, 1e9])
def test_an_update_is_torchs_clipping_and_torchs_adamw(make_model: Any, max_norm: float) -> None:
    """Three updates beside the same model under torch.optim.AdamW with its own learning-rate schedule."""
    spec = OptimizerSpec(
        learning_rate=1e-2, warmup_steps=2, beta1=0.8, beta2=0.95, eps=1e-6, weight_decay=0.1, max_grad_norm=max_norm
    )
    policy, peer = Policy(make_model(), spec, 1.0, 100), make_model()
    optimizer = torch.optim.AdamW(peer.parameters(), lr=1e-2, betas=(0.8, 0.95), eps=1e-6, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda done: min(1.0, (done + 1) / 2))
    inputs = torch.arange(12)[None]
    for _ in range(3):
        for model in (policy.model, peer):
            model(inputs, labels=inputs).loss.backward()
        squares = sum(float(parameter.grad.double().square().sum()) for parameter in peer.parameters())
        torch.nn.utils.clip_grad_norm_(peer.parameters(), max_norm)
        rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        stats = policy.update()
        assert stats.norm == pytest.approx(math.sqrt(squares), rel=1e-5)
        assert stats.rms == pytest.approx(math.sqrt(squares / sum(p.numel() for p in peer.parameters())), rel=1e-5)
        assert stats.learning_rate == pytest.approx(rate)
    for mine, theirs in zip(policy.model.parameters(), peer.parameters(), strict=True):
        assert torch.equal(mine, theirs)
        assert mine.grad is None
