"""Group-normalised advantages.

A_i = (r_i − mean(r)) / (std(r) + 1e-4)      GRPO, 2402.03300 §4.1.2; std with n − 1, as TRL computes it
A_i =  r_i − mean(r)                         Dr. GRPO, 2503.20783 (scale_by_std off)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

STD_EPSILON = 1e-4


def group_advantages(rewards_B: torch.Tensor, group_sizes: Sequence[int], scale_by_std: bool) -> torch.Tensor:
    """Advantages of completions that lie group after group. rewards_B: (B,), sum(group_sizes) = B. Returns (B,).

    A NaN reward was not judged: it gets 0 and stays out of its group's mean and std (F19). A group of equal rewards
    gets exactly 0: its completions carry no gradient.
    """
    groups = torch.split(rewards_B, list(group_sizes))
    return torch.cat([_normalise(rewards_G, scale_by_std) for rewards_G in groups])


def _normalise(rewards_G: torch.Tensor, scale_by_std: bool) -> torch.Tensor:
    judged_G = ~rewards_G.isnan()
    advantages_G = torch.zeros_like(rewards_G)
    if _mixed(rewards_G):
        judged = rewards_G[judged_G]
        scale = judged.std() + STD_EPSILON if scale_by_std else 1.0
        advantages_G[judged_G] = (judged - judged.mean()) / scale
    return advantages_G


def mixed_groups(rewards_B: torch.Tensor, group_sizes: Sequence[int]) -> int:
    """Number of groups whose rewards differ: the only ones that teach."""
    return sum(_mixed(rewards_G) for rewards_G in torch.split(rewards_B, list(group_sizes)))


def _mixed(rewards_G: torch.Tensor) -> bool:
    judged = rewards_G[~rewards_G.isnan()]
    return bool((judged != judged[:1]).any())
