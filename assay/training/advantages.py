"""What each completion, or each token, is worth: advantages from rewards of groups, of the batch, or from a critic.

group_std               A_i = (r_i − mean(r)) / (std(r) + 1e-4)        GRPO, 2402.03300
group_mean              A_i =  r_i − mean(r)                           Dr. GRPO, 2503.20783
leave_one_out           A_i =  r_i − mean of the group's other r_j     RLOO, 2402.14740
batch_std               A_i = (r_i − mean) / (std + 1e-4), both of the step's batch
return_to_go            A_t = (G_t − mean) / (std + 1e-4) over all tokens, G_t = Σ_{i≥t} r_i   REINFORCE++, 2501.03262
group_mean_batch_std    A_i = (r_i − mean of the group) / (std of the batch + 1e-4)          2508.08221
gae                     A_t = δ_t + γλ A_{t+1},  δ_t = r_t + γV_{t+1} − V_t                  GAE, 1506.02438

A NaN reward was not judged: it gets 0 and stays out of every mean and std (F19). Where rewards do not differ,
advantages are exactly 0: rounding must not become a gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch

from assay.contracts.objective import Advantage, Deviation

STD_EPSILON = 1e-4
Rule = Callable[[torch.Tensor], torch.Tensor]


def deviation(rewards: torch.Tensor, kind: Deviation) -> torch.Tensor:
    """Standard deviation: squares over n − 1 (`sample`, as TRL computes it) or over n (`population`)."""
    return rewards.std(correction=1 if kind == "sample" else 0)


def reward_advantages(
    rewards_B: torch.Tensor, group_sizes: Sequence[int], kind: Advantage, std: Deviation = "sample"
) -> torch.Tensor:
    """One advantage a completion; they lie group after group. rewards_B: (B,), sum(group_sizes) = B. Returns (B,)."""
    scaled: Rule = lambda r: (r - r.mean()) / (deviation(r, std) + STD_EPSILON)  # noqa: E731
    groups = torch.split(rewards_B, list(group_sizes))
    if kind == "batch_std":
        return _judged(rewards_B, scaled)
    rule = {"group_std": scaled, "leave_one_out": _leave_one_out}.get(kind, _centred)
    advantages_B = torch.cat([_judged(rewards_G, rule) for rewards_G in groups])
    if kind == "group_mean_batch_std" and _mixed(rewards_B):
        return advantages_B / (deviation(rewards_B[~rewards_B.isnan()], std) + STD_EPSILON)
    return advantages_B


def _centred(rewards: torch.Tensor) -> torch.Tensor:
    return rewards - rewards.mean()


def _leave_one_out(rewards: torch.Tensor) -> torch.Tensor:
    return rewards - (rewards.sum() - rewards) / (len(rewards) - 1)


def _judged(rewards: torch.Tensor, rule: Rule) -> torch.Tensor:
    """The rule over rewards that are numbers; 0 for the others, and for all where none differ."""
    judged = ~rewards.isnan()
    advantages = torch.zeros_like(rewards)
    if _mixed(rewards):
        advantages[judged] = rule(rewards[judged])
    return advantages


def mixed_groups(rewards_B: torch.Tensor, group_sizes: Sequence[int]) -> int:
    """Number of groups whose rewards differ: the only ones that teach."""
    return sum(_mixed(rewards_G) for rewards_G in torch.split(rewards_B, list(group_sizes)))


def _mixed(rewards: torch.Tensor) -> bool:
    judged = rewards[~rewards.isnan()]
    return bool((judged != judged[:1]).any())


def gae(
    rewards_BT: torch.Tensor, values_BT: torch.Tensor, mask_BT: torch.Tensor, gamma: float, gae_lambda: float
) -> torch.Tensor:
    """A_t of each token; behind a completion's last token nothing is worth anything. Shape (B, T), 0 on padding."""
    values_BT = values_BT * mask_BT
    next_B = torch.zeros_like(values_BT[:, 0])
    advantage_B = torch.zeros_like(next_B)
    columns: list[torch.Tensor] = []
    for t in reversed(range(values_BT.shape[1])):
        delta_B = rewards_BT[:, t] + gamma * next_B - values_BT[:, t]
        advantage_B = (delta_B + gamma * gae_lambda * advantage_B) * mask_BT[:, t]
        next_B = values_BT[:, t]
        columns.append(advantage_B)
    return torch.stack(columns[::-1], dim=1)
