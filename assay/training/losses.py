"""Policy losses, the sampler's correction, KL estimators and normalisers, on tensors of token log-probs.

Shapes: B completions, T tokens (padded), mask_BT is 1 where a token was sampled. With ρ = π_θ / π_old (the trainer's
own old log-probs), A the advantage and w the weight of the mismatch between trainer and sampler, detached:

    l = w · policy loss(ρ, A) + β · KL          loss = normaliser(l)

    objective             ρ                 policy loss                        normaliser        source
    grpo                  token             −min(ρA, clip(ρ)A)                 per response      2402.03300 eq. 3
    dr_grpo               token             the same                           constant          2503.20783
    dapo                  token             the same, clip-higher              tokens            2503.14476 eq. 8
    bnpo                  token             the same                           per micro-batch   TRL's loss of that name
    reinforce++           token             the same                           tokens            2501.03262
    ppo                   token             the same, A from a critic          tokens            1707.06347 eq. 7
    gspo                  geometric mean    the same                           per response      2507.18071 eq. 5
    rloo                  product           the same                           per response      2402.14740
    cispo                 token             −stopgrad(clip(ρ)) A log π_θ       tokens            2506.13585 eq. 4

KL terms use r = log π_ref − log π_θ on samples of π_θ: k1 = −r, k2 = r²/2, k3 = e^r − r − 1
(joschu.net/blog/kl-approx). Which of their gradients is that of which KL: docs/decisions/0010-kl-default.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch

from assay.contracts.objective import KLSpec, Level, MismatchSpec, Normaliser, Objective, Recipe

LOG_MAX = 20.0
"""Ratios are computed up to e^20, which can be plotted and is beyond any sensible clip or cap. Beyond it they are
constant: an infinite one times a gradient of 0 would be NaN."""


def at_level(log_BT: torch.Tensor, mask_BT: torch.Tensor, level: Level) -> torch.Tensor:
    """Log-ratios of tokens as they are, or their sum or mean over the completion, at each of its tokens.

    exp of the sum is the ratio of the completion as one action (RLOO, 2402.14740), exp of the mean the geometric mean
    of its tokens' ratios (GSPO, 2507.18071 eq. 7). Shape (B, T).
    """
    if level == "token":
        return log_BT
    sum_B1 = (log_BT * mask_BT).sum(-1, keepdim=True)
    lengths_B1 = mask_BT.sum(-1, keepdim=True).clamp(min=1) if level == "geometric" else 1.0
    return (sum_B1 / lengths_B1).expand_as(log_BT)


def clipped(ratio_BT: torch.Tensor, advantages_BT: torch.Tensor, recipe: Recipe) -> torch.Tensor:
    """−min(ρA, clip(ρ, 1 − ε_low, 1 + ε_high)·A), shape (B, T): PPO's clip (1707.06347 eq. 7), ε_high of its own as in
    DAPO (2503.14476 eq. 8), ρ of tokens or of completions. With dual clip c and A < 0 at most −cA (1912.09729 eq. 5).
    """
    bounded_BT = ratio_BT.clamp(1 - recipe.clip_low, 1 + recipe.clip_high)
    gain_BT = torch.minimum(ratio_BT * advantages_BT, bounded_BT * advantages_BT)
    if recipe.dual_clip is not None:
        gain_BT = torch.where(advantages_BT < 0, gain_BT.maximum(recipe.dual_clip * advantages_BT), gain_BT)
    return -gain_BT


def cispo(
    ratio_BT: torch.Tensor, logprobs_BT: torch.Tensor, advantages_BT: torch.Tensor, recipe: Recipe
) -> torch.Tensor:
    """−stopgrad(clip(ρ, 1 − ε_low, 1 + ε_high))·A·log π_θ: a clipped token still has a gradient (2506.13585 eq. 4).
    Shape (B, T).
    """
    return -ratio_BT.clamp(1 - recipe.clip_low, 1 + recipe.clip_high).detach() * advantages_BT * logprobs_BT


class PolicyLoss(NamedTuple):
    """Loss of each token, and the ratio it was computed from. Both (B, T); padding is not yet masked."""

    losses_BT: torch.Tensor
    ratio_BT: torch.Tensor


def policy_loss(
    objective: Objective,
    recipe: Recipe,
    logprobs_BT: torch.Tensor,
    old_BT: torch.Tensor,
    advantages_BT: torch.Tensor,
    mask_BT: torch.Tensor,
) -> PolicyLoss:
    """The objective's policy loss, before weights, KL and normaliser."""
    ratio_BT = _ratio(logprobs_BT - old_BT, mask_BT, recipe.ratio)
    if objective == "cispo":
        return PolicyLoss(cispo(ratio_BT, logprobs_BT, advantages_BT, recipe), ratio_BT)
    return PolicyLoss(clipped(ratio_BT, advantages_BT, recipe), ratio_BT)


def clipped_value_loss(
    values_BT: torch.Tensor, old_BT: torch.Tensor, returns_BT: torch.Tensor, clip: float
) -> torch.Tensor:
    """max((V − R)², (clip(V, V_old ± ε) − R)²) / 2 of each token (2005.12729). Shape (B, T)."""
    near_BT = torch.clamp(values_BT, old_BT - clip, old_BT + clip)
    return torch.maximum((values_BT - returns_BT).square(), (near_BT - returns_BT).square()) / 2


class Importance(NamedTuple):
    """Trainer against sampler, all (B, T), without gradient."""

    ratio_BT: torch.Tensor
    """π_old / π_sampler at the level of the weight, as it is."""
    weights_BT: torch.Tensor
    """What is made of it."""
    cut_BT: torch.Tensor
    """Where the cap or the mask acted."""


def importance_weights(
    old_BT: torch.Tensor, sampler_BT: torch.Tensor, mask_BT: torch.Tensor, spec: MismatchSpec
) -> Importance:
    """w = min(ratio, cap), 0 where the mask's ratio is out of bounds (2510.26788; richardli.xyz/rl-collapse)."""
    log_BT = ((old_BT - sampler_BT) * mask_BT).detach()
    ratio_BT = _ratio(log_BT, mask_BT, "token" if spec.weight == "none" else spec.weight)
    weights_BT = torch.ones_like(ratio_BT) if spec.weight == "none" else ratio_BT.clamp(max=spec.cap)
    dropped_BT = torch.zeros_like(log_BT, dtype=torch.bool)
    if spec.mask != "none":
        judged_BT = _ratio(log_BT, mask_BT, spec.mask)
        dropped_BT = (judged_BT < spec.mask_below) | (judged_BT > spec.mask_above)
    cut_BT = dropped_BT | (ratio_BT > spec.cap) & (spec.weight != "none")
    return Importance(ratio_BT, weights_BT.masked_fill(dropped_BT, 0.0), cut_BT)


def _ratio(log_BT: torch.Tensor, mask_BT: torch.Tensor, level: Level) -> torch.Tensor:
    return _exp(at_level(log_BT, mask_BT, level))


def _exp(log_BT: torch.Tensor) -> torch.Tensor:
    """e^x, constant beyond e^20. NaN stays NaN, in the gradient too, where a clamp would hide it (F15)."""
    return torch.where(log_BT > LOG_MAX, LOG_MAX, log_BT).exp()


def log_ratio(logprobs_BT: torch.Tensor, ref_BT: torch.Tensor) -> torch.Tensor:
    """r = log π_ref − log π_θ: the one place that says which way round (F26)."""
    return ref_BT - logprobs_BT


def k1(r_BT: torch.Tensor) -> torch.Tensor:
    """−r = log π_θ − log π_ref: unbiased, of either sign; its gradient as a loss is 0 on average."""
    return -r_BT


def k2(r_BT: torch.Tensor) -> torch.Tensor:
    """Half the squared log-ratio: biased in value; its gradient as a loss is that of KL(π_θ ‖ π_ref)."""
    return r_BT.square() / 2


def k3(r_BT: torch.Tensor) -> torch.Tensor:
    """e^r − r − 1: unbiased in value, never negative; its gradient as a loss is that of KL(π_ref ‖ π_θ) (F26)."""
    return torch.expm1(r_BT) - r_BT


ESTIMATORS = {"k1_loss": k1, "k2_loss": k2, "k3_loss": k3, "k3_weighted_loss": k3}


def kl_loss(logprobs_BT: torch.Tensor, ref_BT: torch.Tensor, old_BT: torch.Tensor, spec: KLSpec) -> torch.Tensor:
    """β · KL of each token for the estimators that live in the loss; zero for `k1_reward`. Shape (B, T).

    `k3_weighted_loss` is ρ·k3 with ρ's gradient: value and gradient of KL(π_θ ‖ π_ref) under samples of π_old
    (2512.02556).
    """
    if not spec.in_loss:
        return torch.zeros_like(logprobs_BT)
    estimate_BT = ESTIMATORS[spec.estimator](clamped(log_ratio(logprobs_BT, ref_BT), spec))
    if spec.estimator == "k3_weighted_loss":
        estimate_BT = estimate_BT * _exp(logprobs_BT - old_BT)
    return spec.coefficient * estimate_BT


def clamped(r_BT: torch.Tensor, spec: KLSpec) -> torch.Tensor:
    """r within ± `kl.clamp`, where that is given."""
    return r_BT if spec.clamp is None else r_BT.clamp(-spec.clamp, spec.clamp)


@dataclass(frozen=True, slots=True)
class Averaging:
    """How token losses of a whole update become one number, whatever micro-batches they are computed in (F16).

    `micro_batch` alone depends on how the update was cut, as its definition says.
    """

    kind: Normaliser
    completions: int
    tokens: int
    token_budget: int
    """Longest completion any task allows."""
    micro_batches: int = 1

    def __call__(self, losses_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """This micro-batch's share of the update's loss; shares add up to the loss of the whole."""
        masked_BT = losses_BT * mask_BT
        if self.kind == "response":
            return (masked_BT.sum(-1) / mask_BT.sum(-1).clamp(min=1)).sum() / self.completions
        if self.kind == "tokens":
            return masked_BT.sum() / self.tokens
        if self.kind == "micro_batch":
            return masked_BT.sum() / mask_BT.sum().clamp(min=1) / self.micro_batches
        return masked_BT.sum() / (self.completions * self.token_budget)
