"""Rollouts over a random model: prompts and completions of mixed lengths, their log-probs, and rewards."""

from __future__ import annotations

import random
from typing import Any

import pytest

from assay.contracts.records import PromptRow, Verdict
from assay.contracts.sampling import Completion
from assay.training.rollout import Rollout


def prompt_row(name: str, tokens: list[int]) -> PromptRow:
    return PromptRow(f"toy/{name}", "toy", "train", name, "1", "all", name, tokens)


def make_rollout(
    name: str,
    prompt_tokens: list[int],
    tokens: list[int],
    logprobs: list[float] | None = None,
    reward: float = 0.0,
    status: Any = "wrong",
    text: str = "text",
    finish_reason: Any = "stop",
) -> Rollout:
    completion = Completion(text, tuple(tokens), tuple(logprobs or [-1.0] * len(tokens)), finish_reason)
    verdict = Verdict(status, reward if reward == reward else 0.0)
    parts: Any = {"correct": reward, "format": 1.0 if "boxed" in text else 0.0}
    return Rollout(prompt_row(name, prompt_tokens), 0, 0, completion, verdict, parts, reward)


@pytest.fixture
def rollouts() -> list[Rollout]:
    """Three groups of four; the last group's rewards are equal."""
    draw = random.Random(0)
    found = []
    for group in range(3):
        prompt = [draw.randrange(258) for _ in range(3 + 2 * group)]
        for sample in range(4):
            tokens = [draw.randrange(258) for _ in range(draw.randrange(1, 9))]
            found.append(make_rollout(f"g{group}", prompt, tokens, reward=float(group < 2 and sample % 2 == 0)))
    return found


@pytest.fixture(name="make_rollout")
def _make_rollout() -> Any:
    return make_rollout
