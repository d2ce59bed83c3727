"""Credit: what each token of a step's completions is worth, and for PPO what the critic should have said.

Rewards of groups give every token of a completion the same advantage; a critic gives each its own. A KL in the reward
(`k1_reward`) is taken off here:

    from rewards    A_i − β · (Σ_t (log π − log π_ref) − baseline of its group)
    to go           r_t = −β · (log π − log π_ref), and the reward on top at the last token; Σ from t on, whitened
    from a critic   the same r_t; then GAE, whitened
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.nn.utils.rnn import pad_sequence

from assay.contracts.training import TrainSpec
from assay.training.advantages import gae, mixed_groups, reward_advantages
from assay.training.losses import clamped, k1, log_ratio
from assay.training.rollout import Rollout

TokenValues = list[list[float]]
"""Per completion, per token."""


@dataclass(frozen=True, slots=True)
class StepBatch:
    """One step's completions with their token log-probs before the update, in nats."""

    rollouts: list[Rollout]
    group_sizes: list[int]
    old: TokenValues
    """Under the policy as the trainer sees it; empty until the update, where that finds them by itself."""
    reference: TokenValues
    token_budget: int
    """Longest completion any task allows; Dr. GRPO's constant."""
    values: TokenValues | None = None
    """What the critic expects before each token; None without a critic."""

    @property
    def sampler(self) -> TokenValues:
        return [list(rollout.completion.logprobs) for rollout in self.rollouts]

    @property
    def lengths(self) -> list[int]:
        """Tokens of each completion."""
        return [len(rollout.completion.tokens) for rollout in self.rollouts]

    @property
    def rewards(self) -> torch.Tensor:
        return torch.tensor([rollout.reward for rollout in self.rollouts])


@dataclass(frozen=True, slots=True)
class Credit:
    """Advantages of every token, and the returns a critic learns from: NaN where a completion was not judged, nothing
    without a critic."""

    advantages: TokenValues
    returns: TokenValues = field(default_factory=list)


def assign_credit(batch: StepBatch, spec: TrainSpec) -> Credit:
    """The objective's advantages."""
    if batch.values is not None:
        return _from_critic(batch, batch.values, spec)
    if spec.loss.recipe.advantage == "return_to_go":
        return Credit(_to_go(batch, spec))
    return Credit([[value] * length for value, length in zip(_from_rewards(batch, spec), batch.lengths, strict=True)])


def reward_spread(batch: StepBatch) -> dict[str, float]:
    """Share of groups that hold both better and worse completions: the only ones that teach."""
    return {"mixed_group_share": mixed_groups(batch.rewards, batch.group_sizes) / len(batch.group_sizes)}


def _from_rewards(batch: StepBatch, spec: TrainSpec) -> list[float]:
    """One advantage a completion.

    The KL comes off after normalisation: inside it, a group of equal rewards would have its KL noise blown up to unit
    variance and trained on as if it were the task.
    """
    kind = spec.loss.recipe.advantage
    advantages_B = reward_advantages(batch.rewards, batch.group_sizes, kind, spec.loss.std)
    if spec.kl.estimator == "k1_reward":
        divergence_B = torch.stack([tokens.sum() for tokens in _divergence(batch, spec)])
        divergence_B[batch.rewards.isnan()] = torch.nan  # a completion that was not judged is in no mean (F19)
        baseline = kind if kind == "leave_one_out" else "group_mean"
        advantages_B -= spec.kl.coefficient * reward_advantages(divergence_B, batch.group_sizes, baseline)
    return [float(advantage) for advantage in advantages_B]


def _divergence(batch: StepBatch, spec: TrainSpec) -> list[torch.Tensor]:
    """log π − log π_ref of each sampled token."""
    pairs = zip(batch.old, batch.reference, strict=True)
    return [k1(clamped(log_ratio(torch.tensor(old), torch.tensor(ref)), spec.kl)) for old, ref in pairs]


def _to_go(batch: StepBatch, spec: TrainSpec) -> TokenValues:
    rewards_BT = _token_rewards(batch, spec)
    return _whitened(rewards_BT.flip(-1).cumsum(-1).flip(-1), batch.lengths, spec)


def _from_critic(batch: StepBatch, values: TokenValues, spec: TrainSpec) -> Credit:
    critic, lengths = spec.loss.critic, batch.lengths
    values_BT = _padded([torch.tensor(tokens) for tokens in values])
    advantages_BT = gae(_token_rewards(batch, spec), values_BT, _real(lengths), critic.gamma, critic.gae_lambda)
    returns = (advantages_BT + values_BT)[_real(lengths).bool()].tolist()
    return Credit(_whitened(advantages_BT, lengths, spec), _cut(returns, lengths))


def _whitened(values_BT: torch.Tensor, lengths: Sequence[int], spec: TrainSpec) -> TokenValues:
    """(x − mean) / (std + 1e-4) over all tokens of the step."""
    flat = values_BT[_real(lengths).bool()]
    return _cut(reward_advantages(flat, [len(flat)], "group_std", spec.loss.std).tolist(), lengths)


def _real(lengths: Sequence[int]) -> torch.Tensor:
    """1 at tokens, 0 on padding. Shape (B, T)."""
    return _padded([torch.ones(length) for length in lengths])


def _token_rewards(batch: StepBatch, spec: TrainSpec) -> torch.Tensor:
    """r_t, shape (B, T). A completion that was not judged ends in NaN."""
    if spec.kl.estimator == "k1_reward":
        rewards = [-spec.kl.coefficient * tokens for tokens in _divergence(batch, spec)]
    else:
        rewards = [torch.zeros(length) for length in batch.lengths]
    for tokens, reward in zip(rewards, batch.rewards, strict=True):
        tokens[-1] += reward
    return _padded(rewards)


def _padded(rows: list[torch.Tensor]) -> torch.Tensor:
    return pad_sequence(rows, batch_first=True)


def _cut(flat: list[float], lengths: Sequence[int]) -> TokenValues:
    """Consecutive pieces of these lengths."""
    rest = iter(flat)
    return [[next(rest) for _ in range(length)] for length in lengths]
