"""Losses against closed forms by exact enumeration, literal loops, and analytic gradients."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch

from assay.contracts.training import KLSpec, LossSpec
from assay.training.losses import Normaliser, clipped_loss, importance_weights, k1, k2, k3, kl_loss

Estimator = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
POLICY_LOGITS = torch.tensor([0.3, -1.2, 0.8, 2.0, -0.5], dtype=torch.float64)
REFERENCE_LOGITS = torch.tensor([1.1, 0.4, -0.7, 0.2, 0.9], dtype=torch.float64)


def log_p(logits_V: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits_V, dim=-1)


def kl(log_a_V: torch.Tensor, log_b_V: torch.Tensor) -> torch.Tensor:
    """KL(a ‖ b) by summing over the vocabulary."""
    return (log_a_V.exp() * (log_a_V - log_b_V)).sum()


def expectation(estimator: Estimator) -> float:
    """The estimator's mean under samples of the policy, by enumeration."""
    policy_V, ref_V = log_p(POLICY_LOGITS), log_p(REFERENCE_LOGITS)
    return float((policy_V.exp() * estimator(policy_V, ref_V)).sum())


def loss_gradient(estimator: Estimator) -> torch.Tensor:
    """The expected gradient of the estimator as a loss: samples are fixed, only the log-probs carry gradient."""
    logits_V = POLICY_LOGITS.clone().requires_grad_()
    policy_V = log_p(logits_V)
    (policy_V.detach().exp() * estimator(policy_V, log_p(REFERENCE_LOGITS))).sum().backward()
    assert logits_V.grad is not None
    return logits_V.grad


def kl_gradient(*, forward: bool) -> torch.Tensor:
    logits_V = POLICY_LOGITS.clone().requires_grad_()
    policy_V, ref_V = log_p(logits_V), log_p(REFERENCE_LOGITS)
    (kl(ref_V, policy_V) if forward else kl(policy_V, ref_V)).backward()
    assert logits_V.grad is not None
    return logits_V.grad


@pytest.mark.parametrize("estimator", [k1, k3])
def test_k1_and_k3_are_unbiased(estimator: Estimator) -> None:
    truth = float(kl(log_p(POLICY_LOGITS), log_p(REFERENCE_LOGITS)))
    assert expectation(estimator) == pytest.approx(truth, abs=1e-12)


def test_k2_is_half_the_second_moment_of_the_log_ratio() -> None:
    """E[r²]/2 = KL²/2 + Var(r)/2: not the KL, and how far from it is known."""
    policy_V, ref_V = log_p(POLICY_LOGITS), log_p(REFERENCE_LOGITS)
    truth = float(kl(policy_V, ref_V))
    r_V = ref_V - policy_V
    variance = float((policy_V.exp() * (r_V + truth).square()).sum())
    assert expectation(k2) == pytest.approx((truth**2 + variance) / 2, abs=1e-12)
    assert abs(expectation(k2) - truth) > 0.01


def test_k3_as_a_loss_has_the_gradient_of_the_forward_kl() -> None:
    """E_π[∇k3] = ∇KL(π_ref ‖ π_θ) (2510.01555)."""
    torch.testing.assert_close(loss_gradient(k3), kl_gradient(forward=True))


def test_k2_as_a_loss_has_the_gradient_of_the_reverse_kl() -> None:
    """E_π[∇k2] = ∇KL(π_θ ‖ π_ref)."""
    torch.testing.assert_close(loss_gradient(k2), kl_gradient(forward=False))


def test_k1_as_a_loss_would_have_no_gradient_at_all() -> None:
    """E_π[∇ log π] = 0: why k1 is offered in the reward alone."""
    torch.testing.assert_close(loss_gradient(k1), torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize("estimator", [k2, k3])
def test_descending_the_kl_loss_pulls_the_policy_to_the_reference(estimator: Estimator) -> None:
    """A reversed sign pushes it away and went unseen for six days (F26)."""
    logits_V = POLICY_LOGITS.clone()
    before = float(kl(log_p(logits_V), log_p(REFERENCE_LOGITS)))
    after = float(kl(log_p(logits_V - 0.05 * loss_gradient(estimator)), log_p(REFERENCE_LOGITS)))
    assert after < before


@pytest.mark.parametrize("policy", [-1.0, -3.0])
def test_the_gradient_of_one_tokens_k3_has_the_sign_of_one_minus_the_reference_ratio(policy: float) -> None:
    """d k3 / d log π = 1 − π_ref/π: a token the policy overrates is pushed down, never up (F26)."""
    logprob = torch.tensor(policy, dtype=torch.float64, requires_grad=True)
    k3(logprob, torch.tensor(-2.0, dtype=torch.float64)).backward()
    assert logprob.grad is not None
    assert float(logprob.grad) == pytest.approx(1 - math.exp(-2.0 - policy), abs=1e-12)
    assert (float(logprob.grad) > 0) == (policy > -2.0)


def test_k3_is_never_negative_and_exact_near_zero() -> None:
    r = torch.linspace(-3, 3, 601, dtype=torch.float64)
    assert (k3(torch.zeros_like(r), r) >= 0).all()
    tiny = torch.tensor(1e-6, dtype=torch.float64)
    assert float(k3(torch.zeros(1, dtype=torch.float64), tiny)) == pytest.approx(5e-13, rel=1e-3)


@pytest.mark.parametrize(("name", "estimator"), [("k3_loss", k3), ("k2_loss", k2)])
def test_kl_loss_is_the_coefficient_times_the_named_estimator(name: str, estimator: Estimator) -> None:
    policy_BT, ref_BT = torch.randn(2, 3), torch.randn(2, 3)
    spec = KLSpec.model_validate({"estimator": name, "coefficient": 0.3})
    torch.testing.assert_close(kl_loss(policy_BT, ref_BT, spec), 0.3 * estimator(policy_BT, ref_BT))


def test_a_kl_that_sits_in_the_reward_adds_nothing_to_the_loss() -> None:
    assert kl_loss(torch.randn(2, 3), torch.randn(2, 3), KLSpec(estimator="k1_reward", coefficient=1.0)).eq(0).all()


def random_batch(seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    old_BT = -torch.rand(7, 11, generator=generator, dtype=torch.float64) * 3
    return {
        "old": old_BT,
        "new": old_BT + 0.4 * torch.randn(7, 11, generator=generator, dtype=torch.float64),
        "sampler": old_BT + 0.5 * torch.randn(7, 11, generator=generator, dtype=torch.float64),
        "advantages": torch.randn(7, generator=generator, dtype=torch.float64),
        "lengths": torch.tensor([11, 1, 4, 7, 2, 9, 5]),
    }


def literal_token_loss(batch: dict[str, torch.Tensor], spec: LossSpec, i: int, t: int) -> float:
    """The formula of the module's docstring, one token at a time."""
    new, old, sampler = (float(batch[name][i, t]) for name in ("new", "old", "sampler"))
    advantage, ratio = float(batch["advantages"][i]), math.exp(new - old)
    clipped = min(max(ratio, 1 - spec.clip_low), 1 + spec.clip_high)
    weight = min(math.exp(old - sampler), spec.importance_cap)
    return -weight * min(ratio * advantage, clipped * advantage)


def token_losses(batch: dict[str, torch.Tensor], spec: LossSpec) -> torch.Tensor:
    weights_BT = importance_weights(batch["old"], batch["sampler"], spec.importance_cap)
    return clipped_loss(batch["new"], batch["old"], batch["advantages"], weights_BT, spec)


def test_the_clipped_loss_is_the_formula_token_by_token() -> None:
    spec, batch = LossSpec(clip_low=0.2, clip_high=0.28, importance_cap=1.3), random_batch()
    expected = [[literal_token_loss(batch, spec, i, t) for t in range(11)] for i in range(7)]
    torch.testing.assert_close(token_losses(batch, spec), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"), [(1.5, 1.0, False), (1.5, -1.0, True), (0.5, 1.0, True), (0.5, -1.0, False)]
)
def test_the_clip_stops_the_gradient_only_of_tokens_that_already_moved_far_enough(
    ratio: float, advantage: float, moves: bool
) -> None:
    new_BT = torch.full((1, 1), math.log(ratio)).requires_grad_()
    one = torch.ones(1, 1)
    clipped_loss(new_BT, torch.zeros(1, 1), torch.tensor([advantage]), one, LossSpec()).sum().backward()
    assert new_BT.grad is not None
    assert bool(new_BT.grad.abs() > 0) == moves


def test_on_policy_the_gradient_is_that_of_advantage_times_log_prob() -> None:
    new_BT = torch.tensor([[-1.0, -2.0]], requires_grad=True)
    clipped_loss(new_BT, new_BT.detach(), torch.tensor([0.7]), torch.ones(1, 2), LossSpec()).sum().backward()
    torch.testing.assert_close(new_BT.grad, torch.full((1, 2), -0.7))


def test_importance_weights_are_the_probability_ratio_cut_at_the_cap_and_carry_no_gradient() -> None:
    """F25. A log-ratio of 1,000 is the cap, not infinity."""
    old_BT = torch.tensor([[-1.0, -1.0, 0.0]], requires_grad=True)
    weights_BT = importance_weights(old_BT, torch.tensor([[-1.5, -0.5, -1000.0]]), cap=1.6)
    torch.testing.assert_close(weights_BT, torch.tensor([[1.6, math.exp(-0.5), 1.6]]))
    assert not weights_BT.requires_grad


def test_capping_the_weights_is_exact_below_the_cap() -> None:
    """With every ratio below the cap, E_sampler[w·f] = E_trainer[f]."""
    trainer_V, sampler_V = log_p(POLICY_LOGITS), log_p(POLICY_LOGITS * 0.8)
    f_V = torch.arange(5, dtype=torch.float64)
    weights_V = importance_weights(trainer_V, sampler_V, cap=10.0)
    torch.testing.assert_close((sampler_V.exp() * weights_V * f_V).sum(), (trainer_V.exp() * f_V).sum())


BUDGET = 16
KINDS = get_args(LossSpec.model_fields["normaliser"].annotation)


def normaliser_for(kind: str, lengths: torch.Tensor) -> Normaliser:
    return Normaliser(kind, completions=len(lengths), tokens=int(lengths.sum()), token_budget=BUDGET)


def literal_total(kind: str, losses_BT: torch.Tensor, lengths: torch.Tensor) -> float:
    """The table of TRL's normalisers, as loops."""
    sums = [sum(float(losses_BT[i, t]) for t in range(length)) for i, length in enumerate(lengths.tolist())]
    if kind == "grpo":
        return sum(s / length for s, length in zip(sums, lengths.tolist(), strict=True)) / len(sums)
    if kind == "dapo":
        return sum(sums) / int(lengths.sum())
    return sum(sums) / (len(sums) * BUDGET)


def mask_of(lengths: torch.Tensor, width: int) -> torch.Tensor:
    return (torch.arange(width)[None, :] < lengths[:, None]).double()


@pytest.mark.parametrize("kind", KINDS)
def test_a_normaliser_averages_as_the_loop_does(kind: str) -> None:
    batch = random_batch()
    losses_BT, lengths = token_losses(batch, LossSpec()), batch["lengths"]
    total = normaliser_for(kind, lengths)(losses_BT, mask_of(lengths, 11))
    assert float(total) == pytest.approx(literal_total(kind, losses_BT, lengths), rel=1e-12)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cut", [[7], [1, 6], [3, 2, 2], [1] * 7])
def test_any_partition_into_micro_batches_gives_the_gradient_of_the_whole(kind: str, cut: list[int]) -> None:
    """Accumulating per-micro-batch means weighs short micro-batches too heavily (F16)."""
    batch, spec = random_batch(), LossSpec()
    lengths = batch["lengths"]
    gradients = []
    for parts in ([7], cut):
        new_BT = batch["new"].clone().requires_grad_()
        losses_BT = token_losses({**batch, "new": new_BT}, spec)
        normaliser = normaliser_for(kind, lengths)
        pieces = zip(losses_BT.split(parts), mask_of(lengths, 11).split(parts), strict=True)
        torch.stack([normaliser(*piece) for piece in pieces]).sum().backward()
        gradients.append(new_BT.grad)
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-12, atol=0)
