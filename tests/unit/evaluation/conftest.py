"""A scripted sampler, a byte tokenizer, and two small tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import pytest

from assay.contracts.ablation import EvaluationSpec
from assay.contracts.records import PromptRow
from assay.contracts.sampling import Completion, Progress, SampleRequest
from assay.contracts.task import TaskSpec
from assay.evaluation.tasks import EvaluationTask

Script = Callable[[SampleRequest], str]


class ByteTokenizer:
    """Token ids are UTF-8 bytes, so id 0 is an ordinary token (F10)."""

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return list(text.encode())


@dataclass
class ScriptedSampler:
    """Writes what the script says of a request; one token a character, all of them id 0."""

    script: Script
    requests: list[SampleRequest] = field(default_factory=list)

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        self.requests.extend(requests)
        written = [self._write(request) for request in requests]
        if progress:
            progress(dict(enumerate(written)))
        return written

    def _write(self, request: SampleRequest) -> Completion:
        text = self.script(request)
        return Completion(text, (0,) * len(text), (0.0,) * len(text), "length" if "…" in text else "stop")


def task_spec(name: str = "sums", stop: tuple[str, ...] = ("\n\n", "Question:"), budget: int = 48) -> TaskSpec:
    return TaskSpec.model_validate(
        {
            "name": name,
            "version": 3,
            "source": {"kind": "arithmetic", "levels": {"easy": [2, 1]}},
            "prompt": "Question: {question}\nAnswer:",
            "stop": stop,
            "max_completion_tokens": budget,
        }
    )


def prompt_row(problem_id: str, question: str, gold: str) -> PromptRow:
    prompt = f"Question: {question}\nAnswer:"
    return PromptRow(
        problem_id, problem_id.split("/")[0], "heldout", question, gold, "easy", prompt, list(prompt.encode())
    )


def evaluation_task(spec: TaskSpec, questions: dict[str, str]) -> EvaluationTask:
    rows = [prompt_row(f"{spec.name}/{i}", question, gold) for i, (question, gold) in enumerate(questions.items())]
    return EvaluationTask(spec, rows, prompt_digest=spec.prompt_digest())


@pytest.fixture
def tokenizer() -> ByteTokenizer:
    return ByteTokenizer()


@pytest.fixture
def sums() -> EvaluationTask:
    """Questions that a template engine, a stripper or a literal parser would change."""
    return evaluation_task(
        task_spec(),
        {
            "What is 2 + 3?": "5",
            "  {{ question }} {% raw %} $\\frac{1}{2}$ \t": "1,000",
            "Ärger: ½ + ½ = 1 \u2028 🙂 [INST]": "[1, 2]",
            "How many?\n": "-7",
        },
    )


@pytest.fixture
def words() -> EvaluationTask:
    return evaluation_task(task_spec("words", stop=(), budget=9), {"Three and four?": "7"})


@pytest.fixture
def spec() -> EvaluationSpec:
    return EvaluationSpec(samples_per_prompt=5, temperature=0.7)


@pytest.fixture
def scripted() -> Callable[[Script], ScriptedSampler]:
    return ScriptedSampler


def spread(request: SampleRequest) -> str:
    """Answers of every shape, chosen by the prompt and the seed alone."""
    shapes = [
        r" \boxed{5}",
        r" 2 + 3 = 5, so $\boxed{5}$.",
        " The answer is 5.",
        r" \boxed{\frac{1}{2}} or \boxed{1000}",
        r" \boxed{ $1,000. } Next: 12",
        " about -7",
        r" \boxed{[1, 2]}",
        " \\boxed{unclosed …",
        "",
    ]
    return shapes[(request.seed + sum(request.prompt_tokens)) % len(shapes)]


@pytest.fixture
def sampler() -> ScriptedSampler:
    return ScriptedSampler(spread)
