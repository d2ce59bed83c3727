"""Completions of a real sampler and a real verifier get the reward of the step they belong to."""

from __future__ import annotations

from typing import Any

import pytest

from assay.contracts.records import PromptRow
from assay.contracts.schedule import Allocation
from assay.contracts.task import TaskSpec
from assay.contracts.training import TrainSpec
from assay.rewards.parts import overlong, repetition
from assay.sampling.torch_engine import TorchSampler
from assay.training.rollout import Rollout, RolloutCollector
from assay.verifiers import VerifierPool

TASK = TaskSpec.model_validate(
    {
        "name": "toy",
        "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
        "prompt": "{question}",
        "max_completion_tokens": 12,
        "verifier": "flexible",
    }
)
SPEC = TrainSpec.model_validate(
    {
        "steps": 8,
        "reward_weights": {
            "correct": 1.0,
            "letters": {"kind": "format", "pattern": "[a-z]", "weight": 0.5, "until_step": 4},
            "overlong": {"weight": 2.0, "buffer_tokens": 6},
            "repetition": {"weight": 1.0, "ngram_tokens": 1},
            "again": {
                "kind": "verifier",
                "verifier": "symbolic",
                "weight": 1.0,
                "gate": {"part": "letters", "at_least": 1},
            },
        },
    }
)


@pytest.fixture(scope="module")
def collected(make_model: Any, byte_tokenizer: Any) -> dict[int, list[Rollout]]:
    """Rollouts of steps 0, 2 and 4; a step's seeds are its own."""
    groups = [Allocation(PromptRow(f"toy/{i}", "toy", "train", "q", "4", "all", "q", [i, 7]), 8) for i in range(4)]
    with VerifierPool() as pool:
        sampler = TorchSampler(make_model(spread=0.3), byte_tokenizer, 64)
        collector = RolloutCollector(sampler, pool, {"toy": TASK}, SPEC, seed=3)
        return {step: collector.collect("rollout", step, groups) for step in (0, 2, 4)}


@pytest.mark.parametrize(("step", "weight"), [(0, 0.5), (2, 0.25), (4, 0.0)])
def test_the_reward_is_the_sum_at_its_step(collected: dict[int, list[Rollout]], step: int, weight: float) -> None:
    rollouts = collected[step]
    assert len(rollouts) == 32
    for rollout in rollouts:
        parts, tokens = rollout.parts, rollout.completion.tokens
        assert parts["correct"] == rollout.verdict.score
        assert parts["letters"] == float(any("a" <= letter <= "z" for letter in rollout.completion.text))
        assert parts["overlong"] == overlong(len(tokens), 12, 6)
        assert parts["repetition"] == repetition(tokens, 1)
        assert ("again" in parts) == (parts["letters"] == 1)
        expected = parts["correct"] + weight * parts["letters"] + 2 * parts["overlong"] + parts["repetition"]
        assert rollout.reward == pytest.approx(expected + parts.get("again", 0.0))


def test_the_samples_tell_these_parts_apart(collected: dict[int, list[Rollout]]) -> None:
    for name in ("letters", "overlong", "repetition"):
        assert len({rollout.parts[name] for rollouts in collected.values() for rollout in rollouts}) > 1
