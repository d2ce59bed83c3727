"""How one arm trains: prompts, rewards, loss, KL, optimizer, guards. Each field carries its unit and its range."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from assay.contracts.base import Frozen
from assay.contracts.objective import KLSpec, LossSpec, MismatchSpec
from assay.contracts.reward import CorrectPart, RewardPart, RewardParts, check_parts


class OptimizerSpec(Frozen):
    """AdamW and its schedule, spelled out (F15). The schedule counts updates that were made."""

    learning_rate: float = Field(1e-6, gt=0, le=1)
    """Peak of the schedule, after warm-up."""
    schedule: Literal["constant", "linear", "cosine"] = "constant"
    """How the rate falls after warm-up, from learning_rate to min_learning_rate at the last update."""
    min_learning_rate: float = Field(0.0, ge=0, le=1)
    """Where `linear` and `cosine` end."""
    warmup_steps: int = Field(5, ge=0)
    """Updates of linear warm-up from learning_rate / warmup_steps."""
    warmup_share: float | None = Field(None, ge=0, lt=1)
    """Warm-up as a share of all updates, instead of warmup_steps."""
    beta1: float = Field(0.9, ge=0, lt=1)
    """Decay of the mean of the gradient."""
    beta2: float = Field(0.999, ge=0, lt=1)
    """Decay of the mean of its square."""
    eps: float = Field(1e-8, gt=0)
    """Far below the gradient RMS, else it turns the loss scale into a learning rate (F15, F16)."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled from the gradient; 0 turns it off."""
    max_grad_norm: float = Field(1.0, gt=0)
    """Gradients are scaled down to this global L2 norm."""

    @model_validator(mode="after")
    def _falls(self) -> OptimizerSpec:
        if self.min_learning_rate > self.learning_rate:
            problem = f"min_learning_rate {self.min_learning_rate} is above learning_rate {self.learning_rate}"
            raise ValueError(f"{problem}; lower it")
        return self


class LoRASpec(Frozen):
    """Low-rank adapters W + alpha / rank · B·A on the linear layers of every block, in place of all weights
    (2106.09685)."""

    rank: int = Field(16, ge=1)
    """Columns of B and rows of A."""
    alpha: int = Field(32, ge=1)
    """The adapters' product is scaled by alpha / rank."""
    targets: tuple[str, ...] = ()
    """Names of the linear layers, for instance q_proj and v_proj; empty: all but the output layer."""


class EngineSpec(Frozen):
    """The numbers training computes with. AdamW's weights and moments are fp32 whatever is chosen here."""

    dtype: Literal["fp32", "tf32", "bf16", "fp16"] = "fp32"
    """Of weights and activations in forward and backward; log-probs and losses are fp32. `tf32`: fp32 whose products
    an NVIDIA GPU rounds to 10 bits. `fp16` scales the loss."""
    fp16_scale_power: int = Field(16, ge=0, le=32)
    """`fp16` begins with a loss scale of 2 to this power; it halves when a gradient overflows."""
    lora: LoRASpec | None = None
    """Adapters are trained and merged when exported. Absent: every weight is trained."""


class ChunkSpec(Frozen):
    """When a prompt of `until_mixed` has been sampled enough."""

    chunk_samples: int = Field(8, ge=2)
    """Samples taken at a time."""
    correct: int = Field(2, ge=1)
    """Enough once there are so many correct ones …"""
    wrong: int = Field(2, ge=1)
    """… and so many others."""
    max_samples: int = Field(64, ge=2)
    """Enough in any case."""

    @model_validator(mode="after")
    def _whole_chunks(self) -> ChunkSpec:
        if self.max_samples % self.chunk_samples:
            problem = f"max_samples {self.max_samples} is no multiple of chunk_samples {self.chunk_samples}"
            raise ValueError(f"{problem}; set it to {-(-self.max_samples // self.chunk_samples) * self.chunk_samples}")
        return self


class PromptSpec(Frozen):
    """Which training prompts an arm sees, in which order, and how many samples each gets."""

    order: Literal["shuffled", "easy_to_hard", "bands", "mixed", "self_paced"] = "shuffled"
    """By the base model's pass rate: `easy_to_hard` begins with the easiest quarter and adds the others, `bands` goes
    from quarter to quarter, `mixed` takes all quarters alike into every step. `self_paced`: by the policy's own pass
    rates while it learns, those near a half first. `shuffled`: each pass over the data anew."""
    task_weights: dict[str, Annotated[float, Field(gt=0)]] = {}
    """Share of each task in the prompts of the run, by name, in any unit; empty: as many as the data hold."""
    min_pass_rate: float = Field(0.0, ge=0, le=1)
    """Prompts the base model solves less often are left out (nothing to learn from all-wrong groups)."""
    max_pass_rate: float = Field(1.0, ge=0, le=1)
    """Prompts it solves more often are left out."""
    allocation: Literal["uniform", "adaptive", "until_mixed"] = "uniform"
    """`adaptive` moves samples to prompts whose group is likely to hold both right and wrong answers. `until_mixed`
    samples each prompt in chunks until it has seen both, or `until_mixed.max_samples`."""
    until_mixed: ChunkSpec = ChunkSpec()
    """How `until_mixed` goes about it."""
    replacement_rounds: int = Field(0, ge=0)
    """Dynamic sampling (2503.14476 §3.2): so many times a step, groups whose rewards are all equal are replaced by
    those of other prompts. 0: they stay, and teach nothing."""

    @model_validator(mode="after")
    def _ordered(self) -> PromptSpec:
        if self.min_pass_rate > self.max_pass_rate:
            raise ValueError(
                f"min_pass_rate {self.min_pass_rate} is above max_pass_rate {self.max_pass_rate}; swap them"
            )
        return self

    @property
    def needs_curriculum(self) -> bool:
        """Whether the base model's pass rates are an input of this arm."""
        bounded = (self.min_pass_rate, self.max_pass_rate) != (0.0, 1.0)
        return bounded or self.order != "shuffled" or self.allocation == "adaptive"


class RolloutSpec(Frozen):
    """How completions are made for the updates that learn from them."""

    max_staleness_steps: int = Field(0, ge=0)
    """0: a step is sampled by the policy that learns from it. N: while a step is trained on, the next N are sampled
    with the weights of N steps before theirs; importance weights correct for it. docs/explanation/staleness.md"""


GuardMetric = Literal[
    "samples", "reward_mean", "reward_std", "correct_share", "boxed_share", "unparseable_share",
    "verifier_failed_share", "truncated_share", "repetition_share", "duplicate_excess_share", "completion_tokens_mean",
    "completion_tokens_median", "completion_tokens_max", "mixed_group_share", "entropy", "staleness_steps",
    "logprob_gap_mean", "logprob_gap_max", "kl", "kl_max", "updates", "loss", "ratio_max", "first_ratio_max",
    "clip_fraction", "importance_ratio_mean", "importance_ratio_min", "importance_ratio_max", "importance_weight_mean",
    "importance_weight_min", "importance_weight_max", "importance_cut_share", "importance_effective_share",
    "value_loss", "value_explained", "value_grad_norm", "grad_norm", "grad_rms", "learning_rate", "padding_share",
    "sample_s", "score_s", "update_s", "pass_rate", "replaced_groups", "distinct_share", "reward_fall", "length_fall",
    "grad_norm_growth", "mixed_group_level", "validation_accuracy", "validation_fall_se",
]  # fmt: skip
"""What training steps log; the last two only where the validation split is scored."""


KNOWN_FAILURES = frozenset(f"F{number:02}" for number in range(1, 36))
"""The rows of docs/reference/failures.md."""

EARLY_STEPS = 10
"""A KL that explodes sooner is a matter of warm-up and eps (F15), not of drift or of the reward (F22, F32)."""


class GuardRule(Frozen):
    """A limit on one training metric.

    Crossing `warn` is a finding; crossing `stop` for `patience_steps` steps in a row calls for `action`.
    """

    metric: GuardMetric
    """Name of the training metric, as in the report's curves."""
    side: Literal["above", "below"] = "above"
    """On which side of the limits it is bad."""
    warn: float = Field(allow_inf_nan=False)
    """Beyond it there is a finding."""
    stop: float = Field(allow_inf_nan=False)
    """Beyond it for `patience_steps` the `action` is taken."""
    patience_steps: int = Field(2, ge=1)
    """Consecutive steps beyond `stop` before the `action`; for NaN it is taken at once."""
    from_step: int = Field(0, ge=0)
    """Steps before this one are not judged."""
    action: Literal["warn", "stop", "rollback"] = "stop"
    """`warn`: only a finding. `stop`: the end of the run. `rollback`: back to the last good checkpoint with half the
    learning rates; the steps thrown away stay on record."""
    max_rollbacks: int = Field(2, ge=1)
    """Returns that this rule may call for; the next time it stops the run."""
    failure: str = ""
    """The known failure this defends against, for instance F15."""

    @field_validator("failure")
    @classmethod
    def _known(cls, failure: str) -> str:
        if failure and failure not in KNOWN_FAILURES:
            raise ValueError(f"{failure!r} is not in docs/reference/failures.md; name one of F01 to F35, or none")
        return failure

    @model_validator(mode="after")
    def _warns_first(self) -> GuardRule:
        if not (self.stop >= self.warn if self.side == "above" else self.stop <= self.warn):
            problem = f"stop {self.stop} comes before warn {self.warn} on the way {self.side}"
            raise ValueError(f"{problem}; swap them, or change `side`")
        return self


def default_guards() -> dict[str, GuardRule]:
    """Limits loose enough for a healthy run and tight enough for every collapse in the failure list."""
    return {
        "kl": GuardRule(metric="kl", warn=1.0, stop=10.0, failure="F15"),
        "kl_spike": GuardRule(
            metric="kl", warn=100.0, stop=1_000.0, action="warn", from_step=EARLY_STEPS, failure="F32"
        ),
        "kl_max": GuardRule(metric="kl_max", warn=200.0, stop=5_000.0, from_step=EARLY_STEPS, failure="F22"),
        "ratio": GuardRule(metric="ratio_max", warn=5.0, stop=20.0, failure="F24"),
        "entropy": GuardRule(metric="entropy", side="below", warn=0.02, stop=0.01, patience_steps=3, failure="F22"),
        "gradient": GuardRule(metric="grad_norm", warn=20.0, stop=200.0, patience_steps=3, failure="F21"),
        "gradient_growth": GuardRule(metric="grad_norm_growth", warn=20.0, stop=200.0, failure="F23"),
        "reward": GuardRule(metric="reward_fall", warn=0.6, stop=0.8, failure="F23"),
        "divergence": GuardRule(metric="validation_fall_se", warn=3.0, stop=4.0, failure="F20"),
        "length": GuardRule(metric="length_fall", warn=0.6, stop=0.8, failure="F21"),
        "truncation": GuardRule(metric="truncated_share", warn=0.1, stop=0.9, patience_steps=5, failure="F32"),
        "repetition": GuardRule(metric="repetition_share", warn=0.1, stop=0.5, failure="F24"),
        "distinct": GuardRule(metric="distinct_share", side="below", warn=0.3, stop=0.1, failure="F24"),
        "duplicates": GuardRule(metric="duplicate_excess_share", warn=0.1, stop=0.5, patience_steps=1, failure="F01"),
        "signal": GuardRule(metric="mixed_group_level", side="below", warn=0.1, stop=0.003),
        "staleness": GuardRule(metric="staleness_steps", warn=8.0, stop=64.0, failure="F14"),
        "drift": GuardRule(metric="logprob_gap_mean", warn=0.05, stop=0.3, failure="F25"),
        "verifier": GuardRule(metric="verifier_failed_share", warn=0.01, stop=0.2, failure="F19"),
    }


class TrainSpec(Frozen):
    """One arm's training, fully spelled out."""

    steps: int = Field(ge=1)
    """Rollout steps: sample, score, update."""
    prompts_per_step: int = Field(32, ge=1)
    """Groups in one step."""
    samples_per_prompt: int = Field(8, ge=2)
    """Group size; under `adaptive` allocation the mean group size."""
    updates_per_step: int = Field(1, ge=1)
    """Optimizer updates made from one step's completions, each on its share of the prompts; above 1 the clip acts."""
    temperature: float = Field(1.0, gt=0, le=2)
    """Of sampling, and of every log-prob in the loss (F09). top-p and top-k are never used in training."""
    reward_weights: RewardParts = {"correct": CorrectPart(weight=1.0)}
    """Reward = Σ weight x part, by name: `correct` is the task verifier's score; others are added to it. A number
    stands for a part of that weight. docs/explanation/rewards.md"""
    prompts: PromptSpec = PromptSpec()
    """Which prompts are seen, in which order, and how often each is sampled."""
    rollout: RolloutSpec = RolloutSpec()
    """How far sampling may run ahead of training."""
    loss: LossSpec = LossSpec()
    """The policy-gradient loss."""
    mismatch: MismatchSpec = MismatchSpec()
    """What makes up for a sampler that computes a little differently."""
    kl: KLSpec = KLSpec()
    """What holds the policy near the base model."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """AdamW's settings."""
    engine: EngineSpec = EngineSpec()
    """Precision, and adapters instead of all weights."""
    guards: dict[str, GuardRule] = Field(default_factory=default_guards)
    """Limits that warn or stop a run, by name; rules given here join the default ones."""
    checkpoint_every_steps: int = Field(20, ge=1)
    """A killed run loses at most this many steps; evaluation picks among these checkpoints."""
    keep_checkpoints: int | None = Field(None, ge=1)
    """Checkpoints that are kept: so many of the best by validation, as many evenly spaced ones, and the last; null:
    all. At least `evaluation.checkpoints`, else evaluation finds fewer than it asks for."""
    validate_every_steps: int = Field(10, ge=1)
    """How often the validation split is scored while training, besides at every checkpoint (F20, F35)."""
    micro_batch_tokens: int = Field(16_384, ge=1)
    """Prompt + completion tokens, padding included, in one forward and backward pass; bounds memory."""
    logprob_tolerance: float | None = Field(None, gt=0)
    """Largest mean |trainer − sampler| log-prob difference, nats a token; the bound on their KL goes with its square.
    Null: what the precision of the weights explains (F09, F25)."""
    logprob_check_every_steps: int = Field(10, ge=1)
    """How often it is checked after step 0, on completions of the current weights; beyond it the run is stopped."""

    @field_validator("guards", mode="before")
    @classmethod
    def _beside_defaults(cls, guards: Any) -> Any:
        """A rule that is given replaces the default of its name; the others stay on guard."""
        return {**default_guards(), **guards} if isinstance(guards, dict) else guards

    @field_validator("guards")
    @classmethod
    def _named(cls, guards: dict[str, GuardRule]) -> dict[str, GuardRule]:
        wrong = [name for name in guards if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name)]
        if wrong:
            raise ValueError(f"guard names {wrong} are no words; use letters, digits, - and _ alone")
        return guards

    @field_validator("reward_weights")
    @classmethod
    def _rewarding(cls, parts: dict[str, RewardPart]) -> dict[str, RewardPart]:
        return check_parts(parts)
