"""A task: where its problems come from, how a prompt is written, when a completion ends, and who judges it.

One definition serves sampling, training and evaluation; `TaskSpec.prompt_digest` identifies what the model sees.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from assay.contracts.base import NOT_IDENTITY, Frozen, digest
from assay.contracts.verifier import STRICT, VerifierField


class ArithmeticSource(Frozen):
    """Sums written by a seeded generator: `levels` names a (terms, digits) pair each, for instance `3x2`."""

    kind: Literal["arithmetic"]
    levels: dict[str, tuple[int, int]]
    """Level name -> (number of terms, digits of each term)."""
    seed: int = Field(0, ge=0)
    """Seed of the generator; a split draws from a stream of its own and duplicates across splits are dropped."""
    operators: Literal["+", "+-"] = "+"
    """Which operators join the terms."""

    @field_validator("levels")
    @classmethod
    def _ranges(cls, levels: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
        for name, (terms, digits) in levels.items():
            if not (2 <= terms <= 8 and 1 <= digits <= 4):
                raise ValueError(
                    f"level {name!r} is ({terms} terms, {digits} digits); use 2 to 8 terms and 1 to 4 digits"
                )
        if not levels:
            raise ValueError("name at least one level, for instance {easy: [2, 1]}")
        return levels


class ReasoningGymSource(Frozen):
    """A data set of the package reasoning-gym; every question has a seed of its own, so that no two seeds share one."""

    kind: Literal["reasoning_gym"]
    dataset: str
    """Its name, for instance `chain_sum`."""
    levels: dict[str, dict[str, Any]] = Field({"all": {}}, min_length=1)
    """Level name -> settings of the data set, for instance `easy: {min_terms: 2, max_terms: 2}`."""
    seed: int = Field(0, ge=0)
    """Seed of the generator; a split draws from a stream of its own and duplicates across splits are dropped."""
    version: str = "0.1.25"
    """Of the package; another one may write other questions, and is refused."""


class Choices(Frozen):
    """The options of a multiple-choice question.

    The gold answer is then an option's letter, as JSON text `{"answer": "B", "choices": […]}`, or its text; the data
    may name it by a letter, by a label, or by a number counted from 0.
    """

    field: str
    """Field that holds the list of options, or one text of them all."""
    labels: str | None = None
    """Field that holds the label of each option, which the answer names (ARC has A to D, or 1 to 4)."""
    pattern: str | None = None
    """Regular expression whose group 1 is the text of an option, for data that writes `A)12` or joins the options."""
    line: str = "{letter}. {text}"
    """How an option is shown; the lines take the place of `{choices}` in `question`."""
    between: str = "\n"
    """Between two options."""
    gold: Literal["letter", "text"] = "letter"
    """What the gold answer is; `text` where the options are not shown and the answer itself is asked for."""


class Digests(Frozen):
    """What the data must be. The message of a wrong digest gives the one found."""

    train: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """sha256 of the training file, or of the hub split's rows; null: not checked."""
    heldout: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    """The same for the held-out data."""


class TableSource(Frozen):
    """How rows become problems. A field is named by its path and a filter, `choices.text.0`, `solution|boxed`;
    docs/how-to/new-task.md lists them."""

    kind: Any
    question: str
    """Template over a row's fields, for instance `{Body} {Question}`."""
    answer: str | dict[str, str]
    """Field that holds the gold answer; or, for verifiers that need more than an answer, key -> field of a JSON object,
    for instance `{tests: test_list}`; after `=` stands text for every row, `{prelude: "=import math"}`."""
    answer_after: str | None = None
    """Marker before the gold answer within the field, for instance `####` for GSM8K."""
    answer_before: str | None = None
    """Marker after the gold answer within the field, for instance ` (` for ASDiv, which writes `9 (apples)`."""
    choices: Choices | None = None
    """The options of a multiple-choice question; `{choices}` in `question` shows them."""
    level: str | tuple[str, ...] | None = None
    """Field that holds the difficulty label, or several of which the first present counts (files may name it
    differently); absent: every problem has level `all`."""
    subject: str | tuple[str, ...] | None = None
    """Field that holds the subject, or several of which the first present counts; `{subject}` in `prompt` shows it."""
    id: str | tuple[str, ...] | None = None
    """Field that holds a stable id, or several of which the first present counts; `{…}` makes a template of it, which
    may use `{row}` and `{row_of_subject}`, counted from 0. Absent: the id is a digest of the question."""
    only: dict[str, str] = {}
    """Field -> value that it must have; other rows are not of this task."""
    digest: Annotated[Digests, NOT_IDENTITY] = Digests()
    """What the data must be; other data is refused."""


class FileSource(TableSource):
    """A JSON, JSON-lines, Parquet or CSV file. A split whose file is absent is cut from the other, disjointly."""

    kind: Literal["file"]
    train: Annotated[str, NOT_IDENTITY]
    """Path of the training file, or its `s3://` address; `${VAR}` is expanded, relative paths start at the YAML that
    names them."""
    heldout: Annotated[str | None, NOT_IDENTITY] = None
    """Path of the held-out file; absent: held-out problems are taken from `train` and removed from it."""


class HubSource(TableSource):
    """A data set of the Hugging Face hub, read with `datasets`."""

    kind: Literal["hub"]
    name: str
    """Hub id, for instance `openai/gsm8k`."""
    config: str | tuple[str, ...] | None = None
    """Configuration of the data set, for instance `main`, or several that are read one after another; null: its only
    one."""
    revision: str = "main"
    """Commit, tag or branch. All but a commit may move; then preflight warns, unless `digest` holds the rows."""
    train: str = "train"
    """Split that training problems come from."""
    heldout: str | None = "test"
    """Split that held-out problems come from; null: they are cut from `train`, disjointly."""

    @property
    def moving(self) -> tuple[Literal["train", "heldout"], ...]:
        """Which of the two another day's rows may come from: no commit and no digest holds them."""
        if re.fullmatch("[0-9a-f]{40}", self.revision):
            return ()
        return tuple(
            name for name in ("train", "heldout") if getattr(self, name) and getattr(self.digest, name) is None
        )


Source = Annotated[ArithmeticSource | ReasoningGymSource | FileSource | HubSource, Field(discriminator="kind")]


class Shot(Frozen):
    """A question with the answer that is shown for it."""

    question: str
    """Takes the place of `{question}` in the task's prompt."""
    answer: str
    """The text of the answer, working included."""


class FewShot(Frozen):
    """Answered questions before the one that is asked: `examples`, or `count` training problems."""

    examples: tuple[Shot, ...] = ()
    """Shown before every question, in this order."""
    count: int = Field(0, ge=0)
    """How many training problems are shown instead."""
    draw: Literal["first", "random"] = "first"
    """`first`: the first `count` rows of the training data, which are then not trained on. `random`: for every question
    anew, as lm_eval draws them (seed 1234, held-out problems in the order of their file)."""
    answer: str = ""
    """Template over a training row's fields, shown as its answer."""
    before_answer: str = " "
    """Between a prompt and its answer."""
    after_answer: str = "\n\n"
    """Between an answer and the next prompt."""

    @model_validator(mode="after")
    def _one_kind(self) -> FewShot:
        if bool(self.examples) == bool(self.count):
            raise ValueError("give `examples`, or a `count` of training problems")
        if self.count and not self.answer:
            raise ValueError("`count` needs `answer`, a template over a training row's fields")
        return self


class TaskSpec(Frozen):
    """A task file (`configs/tasks/*.yaml`)."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    """Prefix of every problem id and of every metric of the task."""
    version: int = Field(1, ge=1)
    """Bump when the meaning of a score changes; scores are comparable within a version only."""
    card: Annotated[str, NOT_IDENTITY] = ""
    """Address of the page that describes the data."""
    licence: Annotated[str, NOT_IDENTITY] = ""
    """Of the data, as its page gives it."""
    source: Source
    """Where the problems come from; its `kind` says which keys it has."""
    prompt: str
    """Template around `{question}` (and `{subject}`, its underscores as spaces); for style `chat` it is the user's
    message."""
    style: Literal["completion", "chat"] = "completion"
    """`completion` sends the template as it is (base models); `chat` applies the tokenizer's chat template."""
    few_shot: FewShot | None = None
    """Answered questions before the one that is asked."""
    stop: tuple[str, ...] = ()
    """A completion ends before the first of these (F12)."""
    max_prompt_tokens: int = Field(512, ge=1)
    """Longer prompts are dropped, counted and shown (F17)."""
    max_completion_tokens: int = Field(ge=1)
    """Token budget of a completion, in training and evaluation alike (F11)."""
    max_evaluation_tokens: int | None = Field(None, ge=1)
    """Token budget of a completion in evaluation, where it is to differ from training's; null: the same."""
    verifier: VerifierField = STRICT
    """The training verifier: `strict` asks for \\boxed{}, `symbolic` takes any clear final answer, `flexible` the last
    number; or a kind with its options, for instance `{kind: choice, mode: legacy}`."""
    lm_eval: Annotated[str | None, NOT_IDENTITY] = None
    """The task or group of lm_eval 0.4.13 whose prompt this is, byte for byte, at this number of few-shot examples;
    null: lm_eval has none, and a task file for it is generated."""
    known_bad: dict[str, str] = {}
    """Problem id -> why its gold answer cannot be used; these problems are left out, and counted as `known_bad`."""

    @field_validator("prompt")
    @classmethod
    def _has_question(cls, prompt: str) -> str:
        if "{question}" not in prompt:
            raise ValueError("the template must contain {question}")
        return prompt

    @property
    def evaluation_tokens(self) -> int:
        """Token budget of a completion in evaluation."""
        return self.max_evaluation_tokens or self.max_completion_tokens

    def prompt_digest(self, chat_template: str | None = None) -> str:
        """Identity of what the model sees: template, examples, style, stop strings, budgets, chat template (F05)."""
        shown = chat_template if self.style == "chat" else None
        more = self.model_dump(mode="json", include={"few_shot", "max_evaluation_tokens"}, exclude_defaults=True)
        return digest(
            [self.name, self.version, self.prompt, self.style, list(self.stop), self.max_completion_tokens, shown]
            + ([more] if more else [])
        )
