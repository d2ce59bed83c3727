"""Completions of a real sampler and a real verifier get the reward of the step they belong to."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest

from assay.contracts.errors import StageError
from assay.contracts.records import PromptRow, Verdict
from assay.contracts.sampling import Completion, Progress, SampleRequest
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


class PatientSampler:
    """Ends its second completion only when the first has been judged."""

    def __init__(self, first_judged: threading.Event) -> None:
        self.first_judged = first_judged

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        written = [Completion("4", (4,), (-1.0,), "stop") for _ in requests]
        assert progress is not None
        progress({1: written[1]})
        assert self.first_judged.wait(10), "nothing was judged while others were being written"
        progress({0: written[0]})
        return written


class EventPool:
    """Tells when it was asked; gives the places in the order it was asked, or fails."""

    def __init__(self, fails: bool = False) -> None:
        self.asked = threading.Event()
        self.fails = fails
        self.thread: int | None = None

    def score(self, _: Any, items: Sequence[tuple[str, str]], **__: Any) -> list[Verdict]:
        self.asked.set()
        self.thread = threading.get_ident()
        if self.fails:
            raise StageError("no judge")
        return [Verdict("correct", 1.0) for _ in items]


def one_group() -> list[Allocation]:
    return [Allocation(PromptRow("toy/0", "toy", "train", "q", "4", "all", "q", [1, 7]), 2)]


def collector_with(pool: Any) -> RolloutCollector:
    spec = TrainSpec(steps=1)
    return RolloutCollector(PatientSampler(pool.asked), pool, {"toy": TASK}, spec, seed=3)  # type: ignore[arg-type]


def test_completions_are_judged_while_others_are_being_written() -> None:
    pool = EventPool()
    rollouts = collector_with(pool).collect("rollout", 0, one_group())
    assert [(rollout.sample_index, rollout.reward) for rollout in rollouts] == [(0, 1.0), (1, 1.0)]
    assert pool.thread != threading.get_ident()


def test_what_judging_dies_of_ends_the_step() -> None:
    with pytest.raises(StageError, match="no judge"):
        collector_with(EventPool(fails=True)).collect("rollout", 0, one_group())
