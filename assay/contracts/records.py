"""The rows that flow between rooms: problems, completions, verdicts, trace rows, scored samples.

Rows are dataclasses because there are millions of them; specs are pydantic because people write them.
Lists of rows become Parquet tables column by field.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

FinishReason = Literal["stop", "length"]
"""`stop`: end-of-sequence token or a stop string. `length`: the token budget ran out (truncated)."""

VerdictStatus = Literal["correct", "wrong", "unparseable", "error", "timeout"]
"""`unparseable`: no answer was found. `error` and `timeout` are failures of the verifier, counted apart and never taken
for wrong answers (F19)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One question of a task. `id` is canonical: `task/slug` (F06). `level` is the difficulty label the data gives;
    `subject` is empty where the data names none."""

    id: str
    task: str
    question: str
    gold: str
    level: str
    subject: str = ""


@dataclass(frozen=True, slots=True)
class PromptRow:
    """A problem with its rendered prompt: the exact text, and its token ids, that every stage sends to the model."""

    id: str
    task: str
    split: str
    question: str
    gold: str
    level: str
    prompt: str
    prompt_tokens: list[int]
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says about one response. `score` is 1.0 for correct, 0.0 otherwise, or partial credit between."""

    status: VerdictStatus
    score: float
    extracted: str | None = None
    """The answer as found in the response, before normalisation."""
    method: str = ""
    """Which extraction rule found it: `boxed`, `answer_is`, `hash_marks`, `last_number`, … (F33)."""
    detail: str = ""
    """The error or time limit in words, for `error` and `timeout`."""
    version: int = 0
    """Of the verifier; scores are comparable within a version."""
    seconds: float = field(default=0.0, compare=False, metadata={"column": False})
    """How long judging took; never stored, for equal work must give equal bytes."""
    parts: dict[str, float] = field(default_factory=dict)
    """What the score is made of, where a verifier looks at several things: instruction or test -> its own score."""


@dataclass(frozen=True, slots=True)
class TraceRow:
    """One training completion, from request to gradient."""

    run: str
    """Content key of the training: it tells arms of one name apart, of several ablations."""
    arm: str
    seed: int
    step: int
    problem_id: str
    task: str
    level: str
    sample_index: int
    request_seed: int
    text: str
    finish_reason: FinishReason
    completion_tokens: int
    logprob_sum_trainer: float
    logprob_sum_sampler: float
    status: VerdictStatus
    extracted: str | None
    reward: float
    reward_parts: dict[str, float]
    advantage: float
    staleness_steps: int
    """Steps trained between the weights that wrote it and the step that learns from it."""
    verdicts: dict[str, VerdictStatus] = field(default_factory=dict)
    """What each verifier said, by the name of its part of the reward; the task's own is `correct`."""
    used: bool = True
    """False: its group was replaced by another prompt's, and nothing was learnt from it."""
    rollback: int = 0
    """Number of the rollback that threw its step away; 0: it counts."""


@dataclass(frozen=True, slots=True)
class SampleRow:
    """One evaluation completion as lm_eval logged it."""

    model: str
    """`base`, or `ARM/seedN/step-000040`."""
    task: str
    problem_id: str
    level: str
    mode: Literal["greedy", "sampled"]
    sample_index: int
    prompt_digest: str
    text: str
    finish_reason: FinishReason
    completion_tokens: int
    gold: str
    lm_eval_scores: dict[str, float] = field(default_factory=dict)
    """lm_eval's own verdict per filter, untouched: `{"strict-match": 1.0, "flexible-extract": 0.0}`."""


@dataclass(frozen=True, slots=True)
class ScoredRow:
    """A sample with the verdicts of its task's verifier and of the others that read it (F03, F04, F33)."""

    sample: SampleRow
    own: Verdict
    """By the verifier that the arm was trained with."""
    views: dict[str, Verdict]
    """By each verifier of `assay.verifiers.views`, side by side."""
