"""The clipped policy-gradient loss, KL estimators and normalisers, on tensors of token log-probs.

Shapes: B completions, T tokens (padded), mask_BT is 1 where a token was sampled. With ρ = π_θ / π_old (the trainer's
own old log-probs), A the advantage and w = min(π_old / π_sampler, cap) detached (truncated importance sampling):

    l = −w · min(ρ·A, clip(ρ, 1 − ε_low, 1 + ε_high)·A)             PPO-clip, 1707.06347 eq. 7; w: 2510.26788

KL terms use r = log π_ref − log π_θ on samples of π_θ; k1 = −r, k2 = r²/2, k3 = e^r − r − 1
(joschu.net/blog/kl-approx). As a loss, k3's gradient is that of the forward KL and k2's that of the reverse KL
(2510.01555): both are offered by name.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from assay.contracts.training import KLSpec, LossSpec


def importance_weights(old_BT: torch.Tensor, sampler_BT: torch.Tensor, cap: float) -> torch.Tensor:
    """w = min(π_old / π_sampler, cap) for each token, without gradient. Shapes (B, T)."""
    return (old_BT - sampler_BT).exp().clamp(max=cap).detach()


def clipped_loss(
    logprobs_BT: torch.Tensor,
    old_BT: torch.Tensor,
    advantages_B: torch.Tensor,
    weights_BT: torch.Tensor,
    spec: LossSpec,
) -> torch.Tensor:
    """Loss of each token, shape (B, T); padding is not yet masked."""
    ratio_BT = (logprobs_BT - old_BT).exp()
    advantages_B1 = advantages_B[:, None]
    clipped_BT = ratio_BT.clamp(1 - spec.clip_low, 1 + spec.clip_high)
    return -weights_BT * torch.minimum(ratio_BT * advantages_B1, clipped_BT * advantages_B1)


def k1(logprobs_BT: torch.Tensor, ref_BT: torch.Tensor) -> torch.Tensor:
    """log π_θ − log π_ref: unbiased, of either sign."""
    return logprobs_BT - ref_BT


def k2(logprobs_BT: torch.Tensor, ref_BT: torch.Tensor) -> torch.Tensor:
    """Half the squared log-ratio: biased in value; its gradient as a loss is that of KL(π_θ ‖ π_ref)."""
    return (ref_BT - logprobs_BT).square() / 2


def k3(logprobs_BT: torch.Tensor, ref_BT: torch.Tensor) -> torch.Tensor:
    """e^r − r − 1: unbiased in value, never negative (F26)."""
    r_BT = ref_BT - logprobs_BT
    return torch.expm1(r_BT) - r_BT


def kl_loss(logprobs_BT: torch.Tensor, ref_BT: torch.Tensor, spec: KLSpec) -> torch.Tensor:
    """β · KL of each token for the estimators that live in the loss; zero for `k1_reward`."""
    if spec.estimator == "k1_reward" or spec.coefficient == 0:
        return torch.zeros_like(logprobs_BT)
    estimator = k3 if spec.estimator == "k3_loss" else k2
    return spec.coefficient * estimator(logprobs_BT, ref_BT)


@dataclass(frozen=True, slots=True)
class Normaliser:
    """How token losses of a whole update become one number, whatever micro-batches they are computed in (F16)."""

    kind: str
    completions: int
    tokens: int
    token_budget: int

    def __call__(self, losses_BT: torch.Tensor, mask_BT: torch.Tensor) -> torch.Tensor:
        """This micro-batch's share of the update's loss; shares add up to the loss of the whole."""
        masked_BT = losses_BT * mask_BT
        if self.kind == "grpo":
            return (masked_BT.sum(-1) / mask_BT.sum(-1).clamp(min=1)).sum() / self.completions
        if self.kind == "dapo":
            return masked_BT.sum() / self.tokens
        return masked_BT.sum() / (self.completions * self.token_budget)
