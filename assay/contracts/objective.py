"""What an arm optimises: policy loss, advantage, normaliser, KL term, and the correction of the sampler's mismatch.

An objective is a named recipe, the one of its paper; each part can be changed by itself, and what would mean nothing is
refused. docs/explanation/losses.md
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, NamedTuple

from pydantic import Field, model_validator

from assay.contracts.base import Frozen

Objective = Literal["grpo", "dr_grpo", "dapo", "bnpo", "gspo", "cispo", "rloo", "reinforce++", "ppo"]
Level = Literal["token", "sequence", "geometric"]
"""A ratio of probabilities: of each token, its product over the completion, or its geometric mean over it."""
Normaliser = Literal["response", "tokens", "micro_batch", "constant"]
Advantage = Literal[
    "group_std", "group_mean", "leave_one_out", "batch_std", "group_mean_batch_std", "return_to_go", "gae"
]
Deviation = Literal["sample", "population"]


class Recipe(NamedTuple):
    """All that an objective is made of."""

    ratio: Level
    normaliser: Normaliser
    advantage: Advantage
    clip_low: float = 0.2
    clip_high: float = 0.2
    dual_clip: float | None = None


RECIPES: dict[Objective, Recipe] = {
    "grpo": Recipe("token", "response", "group_std"),
    "dr_grpo": Recipe("token", "constant", "group_mean"),
    "dapo": Recipe("token", "tokens", "group_std", clip_high=0.28),
    "bnpo": Recipe("token", "micro_batch", "group_std"),
    "gspo": Recipe("geometric", "response", "group_std", clip_low=3e-4, clip_high=4e-4),
    "cispo": Recipe("token", "tokens", "group_std", clip_low=1.0, clip_high=4.0),
    "rloo": Recipe("sequence", "response", "leave_one_out"),
    "reinforce++": Recipe("token", "tokens", "return_to_go"),
    "ppo": Recipe("token", "tokens", "gae"),
}
"""Objective -> recipe. Whoever changes one bumps the version of stage `train`: keys hold the name alone."""


class CriticSpec(Frozen):
    """PPO's critic: a copy of the base model whose head says what reward is to come (1707.06347)."""

    learning_rate: float = Field(1e-5, gt=0, le=1)
    """Constant; AdamW's other settings and the gradient's largest norm are `train.optimizer`'s."""
    gamma: float = Field(1.0, gt=0, le=1)
    """Discount of the reward, a token. It comes at the end, so below 1 long answers are worth less."""
    gae_lambda: float = Field(0.95, ge=0, le=1)
    """1: A = reward to come − value, unbiased; towards 0 the critic is trusted more (1506.02438)."""
    value_clip: float = Field(0.2, gt=0)
    """A new value further than this from the old one has no gradient when it moves on."""


class LossSpec(Frozen):
    """The policy loss by name; the other fields change parts of it, left out they are the objective's own."""

    objective: Objective = "grpo"
    """The recipe; docs/explanation/losses.md has the formulas and when to use which."""
    normaliser: Normaliser | None = None
    """How token losses l become one number (F16). `response`: mean over completions of Σl/tokens. `tokens`: Σl/all
    tokens of the update. `micro_batch`: the same within each micro-batch, then their mean. `constant`:
    Σl/(completions x longest completion allowed)."""
    advantage: Advantage | None = None
    """What a completion is worth. `group_std`: (r − mean)/(std + 1e-4) of its group. `group_mean`: r − mean.
    `leave_one_out`: r − mean of the others. `batch_std`: (r − mean)/(std + 1e-4) of the step's batch.
    `group_mean_batch_std`: the group's mean, the batch's std. `return_to_go`: of each token, the reward from it on, so
    scaled over the tokens of the step's batch. `gae`: of each token, from PPO's critic."""
    std: Deviation = "sample"
    """Of the advantage: `sample` divides squares by n − 1, `population` by n."""
    clip_low: float | None = Field(None, gt=0, le=1)
    """The ratio is clipped below 1 − clip_low; 1 clips nothing there."""
    clip_high: float | None = Field(None, gt=0)
    """The ratio is clipped above 1 + clip_high."""
    dual_clip: float | None = Field(None, gt=1)
    """Bounds the loss of a negative advantage at dual_clip x |A|, where its ratio has no bound (1912.09729 uses 3)."""
    critic: CriticSpec = CriticSpec()
    """Of `ppo`; the other objectives have none."""

    @property
    def recipe(self) -> Recipe:
        """The objective's recipe with what is given here in its place."""
        given: dict[str, Any] = {
            name: getattr(self, name) for name in Recipe._fields if getattr(self, name, None) is not None
        }
        return RECIPES[self.objective]._replace(**given)

    @model_validator(mode="after")
    def _meaningful(self) -> LossSpec:
        problem = next(self._mistakes(), None)
        if problem is not None:
            raise ValueError(problem)
        return self

    def _mistakes(self) -> Iterator[str]:
        name, recipe, bound = self.objective, self.recipe, 1 + self.recipe.clip_high
        if name == "ppo" and recipe.advantage != "gae":
            yield f"ppo's advantage is gae, not {recipe.advantage}; leave `advantage` out"
        if name != "ppo" and recipe.advantage == "gae":
            yield f"{name} has no critic for advantage gae; use objective ppo"
        if name != "ppo" and self.critic != CriticSpec():
            yield f"{name} has no critic; leave `critic` out, or use objective ppo"
        if recipe.ratio != "token" and recipe.normaliser != "response":
            problem = f"{name} has one ratio a completion: normaliser {recipe.normaliser} would weigh it by length"
            yield f"{problem}; use response"
        if recipe.dual_clip is not None and recipe.dual_clip <= bound:
            yield f"dual_clip {recipe.dual_clip} must lie above 1 + clip_high, {bound:g}; 3 is usual"
        if name == "cispo" and recipe.dual_clip is not None:
            yield "cispo bounds its ratio by itself; leave `dual_clip` out"


class MismatchSpec(Frozen):
    """What makes up for a sampler that computes a little differently from the trainer (F25): token losses are weighted
    by w = π_old / π_sampler, without gradient; docs/explanation/losses.md#trainer-and-sampler."""

    weight: Literal["token", "sequence", "none"] = "token"
    """Ratio of each token, product over the completion (unbiased, noisy), or no weight."""
    cap: float = Field(2.0, ge=1)
    """Larger weights are cut to this: truncated importance sampling."""
    mask: Literal["token", "sequence", "geometric", "none"] = "none"
    """Drops tokens by their ratio, or whole completions by the product or the geometric mean of theirs. They still
    count in the normaliser."""
    mask_below: float = Field(0.5, ge=0, le=1)
    """Ratios below are dropped. `geometric` wants values near 1, such as 0.99."""
    mask_above: float = Field(2.0, ge=1)
    """Ratios above are dropped. `geometric` wants values near 1, such as 1.01."""

    @model_validator(mode="after")
    def _geometric_bounds_are_given(self) -> MismatchSpec:
        if self.mask == "geometric" and not {"mask_below", "mask_above"} <= self.model_fields_set:
            problem = "a mean over a completion hardly leaves 0.5 to 2"
            raise ValueError(f"{problem}; give mask_below and mask_above, such as 0.99 and 1.01, with mask geometric")
        return self


class KLSpec(Frozen):
    """How the policy is held near the reference, r = log π_ref − log π_θ (F22, F26).

    Which gradient each has, and why the default is what it is: docs/decisions/0010-kl-default.md
    """

    estimator: Literal["k1_loss", "k2_loss", "k3_loss", "k3_weighted_loss", "k1_reward"] = "k3_loss"
    """`k3_loss`: e^r − r − 1 in the loss; pulls along the forward KL. `k2_loss`: r²/2; along the reverse KL, on policy.
    `k3_weighted_loss`: ρ(e^r − r − 1); the reverse KL off policy as well. `k1_reward`: −r taken off the advantage; the
    reverse KL of whole completions. `k1_loss`: −r; noise without any pull, for comparison."""
    coefficient: float = Field(0.01, ge=0)
    """β. 0 turns the term off; the KL is measured and guarded all the same."""
    clamp: float | None = Field(None, gt=0)
    """r is clamped to ± this before the estimator; a token beyond it is no longer pulled back. Left out: no clamp."""

    @property
    def in_loss(self) -> bool:
        """Whether every completion carries a gradient, whatever its advantage."""
        return self.coefficient > 0 and self.estimator != "k1_reward"
