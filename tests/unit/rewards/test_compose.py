"""Rewards: weighted parts, schedules and gates against sums by hand, and a failed verifier that is no wrong answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter

from assay.contracts.errors import SpecError
from assay.contracts.records import PromptRow, Verdict
from assay.contracts.reward import RewardPart, RewardParts
from assay.contracts.sampling import Completion
from assay.contracts.task import TaskSpec
from assay.contracts.verifier import FLEXIBLE, Verifier
from assay.rewards.compose import Composer, total
from assay.verifiers import VerifierPool

TASK = TaskSpec.model_validate(
    {
        "name": "a",
        "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
        "prompt": "{question}",
        "stop": ["Q:"],
        "max_completion_tokens": 10,
    }
)
PROMPT = PromptRow("a/1", "a", "train", "q", "4", "all", "q", [1])


class ScriptedPool:
    """Gives the statuses it was told to, and remembers whom it was asked about."""

    def __init__(self, *statuses: str) -> None:
        self.statuses = list(statuses)
        self.asked: list[str] = []

    def score(self, verifier: Verifier, pairs: Sequence[tuple[str, str]], stop: Sequence[str] = ()) -> list[Verdict]:
        assert tuple(stop) == TASK.stop
        self.asked += [f"{verifier.label} {text}" for text, _ in pairs]
        return [verdict(self.statuses.pop(0)) for _ in pairs]


def verdict(status: str, score: float | None = None) -> Verdict:
    return Verdict(status, float(status == "correct") if score is None else score)  # type: ignore[arg-type]


def declared(parts: dict[str, Any]) -> dict[str, RewardPart]:
    return TypeAdapter(RewardParts).validate_python(parts)  # type: ignore[no-any-return]


def rewards(
    parts: dict[str, Any], texts: list[str], verdicts: list[Verdict], step: int = 0, pool: Any = None, tokens: int = 3
) -> list[tuple[float, dict[str, float]]]:
    completions = [Completion(text, tuple(range(tokens)), (0.0,) * tokens, "stop") for text in texts]
    composer = Composer(declared(parts), {"a": TASK}, pool or ScriptedPool())
    rewards = composer.rewards(step, [PROMPT] * len(texts), completions, verdicts)
    return [(reward.total, reward.parts) for reward in rewards]


@pytest.mark.parametrize(
    ("status", "score", "text", "parts"),
    [
        ("correct", 1.0, "so \\boxed{4}", {"correct": 1.0, "format": 1.0}),
        ("wrong", 0.0, "so \\boxed{5}", {"correct": 0.0, "format": 1.0}),
        ("correct", 1.0, "The answer is 4.", {"correct": 1.0, "format": 0.0}),
        ("unparseable", 0.0, "", {"correct": 0.0, "format": 0.0}),
        ("wrong", 0.5, "\\boxed{unclosed", {"correct": 0.5, "format": 0.0}),
        ("wrong", 0.0, "5 Q: \\boxed{4}", {"correct": 0.0, "format": 0.0}),
    ],
)
def test_parts_are_the_verdict_and_the_box_before_the_stop_string(
    status: str, score: float, text: str, parts: dict[str, float]
) -> None:
    assert rewards({"correct": 1, "format": 0}, [text], [verdict(status, score)])[0] == (score, parts)


@pytest.mark.parametrize("status", ["error", "timeout"])
def test_a_verifier_that_failed_gives_no_number(status: str) -> None:
    """0 % for every model: exceptions were taken for wrong answers (F19)."""
    ((reward, parts),) = rewards({"correct": 1.0, "format": 0.1}, ["\\boxed{4}"], [verdict(status)])
    assert math.isnan(parts["correct"])
    assert parts["format"] == 1.0
    assert math.isnan(reward)


def test_a_part_without_weight_is_measured_and_does_not_spoil_the_reward() -> None:
    """A failed verdict matters only where correctness is rewarded."""
    ((reward, parts),) = rewards({"format": 1.0, "correct": 0.0}, ["\\boxed{4}"], [verdict("error")])
    assert reward == 1.0
    assert math.isnan(parts["correct"])


def test_a_reward_is_the_weighted_sum_of_its_parts() -> None:
    """2 x 1 - 0.5 x 1 + 0.5 x -(7 - 6)/4 + 0.1 x 0 = 1.375."""
    parts = {
        "correct": 2.0,
        "format": -0.5,
        "overlong": {"weight": 0.5, "buffer_tokens": 4},
        "repetition": {"weight": 0.1, "ngram_tokens": 2},
    }
    ((reward, values),) = rewards(parts, ["\\boxed{4}"], [verdict("correct")], tokens=7)
    assert values == {"correct": 1.0, "format": 1.0, "overlong": -0.25, "repetition": 0.0}
    assert reward == pytest.approx(1.375)


def test_a_pattern_of_ones_own_and_several_formats_side_by_side() -> None:
    """The notebook's +0.1 for "The answer is N."."""
    parts = {
        "correct": 1.0,
        "said": {"kind": "format", "weight": 0.1, "pattern": r"The answer is -?\d+\."},
        "format": 0,
    }
    found = rewards(parts, ["The answer is 4.", "It is 4"], [verdict("correct")] * 2)
    assert [reward for reward, _ in found] == pytest.approx([1.1, 1.0])
    assert [values["said"] for _, values in found] == [1.0, 0.0]


@pytest.mark.parametrize(
    ("schedule", "weights"),
    [
        ({}, {0: 0.4, 1000: 0.4}),
        ({"until_step": 4}, {0: 0.4, 1: 0.3, 2: 0.2, 3: 0.1, 4: 0.0, 99: 0.0}),
        ({"fade_from_step": 2, "until_step": 4}, {0: 0.4, 1: 0.4, 2: 0.4, 3: 0.2, 4: 0.0}),
        ({"fade_from_step": 3, "until_step": 3}, {2: 0.4, 3: 0.0}),
    ],
)
def test_a_weight_fades_on_a_straight_line(schedule: dict[str, int], weights: dict[int, float]) -> None:
    parts = {"correct": 1.0, "format": {"weight": 0.4, **schedule}}
    found = {step: rewards(parts, ["\\boxed{5}"], [verdict("wrong")], step)[0][0] for step in weights}
    assert found == pytest.approx(weights)


def test_a_gate_opens_at_its_threshold() -> None:
    parts = {"correct": 1.0, "format": {"weight": 0.5, "gate": {"part": "correct", "at_least": 0.5}}}
    verdicts = [verdict("correct"), verdict("wrong", 0.5), verdict("wrong", 0.25), verdict("wrong")]
    found = rewards(parts, ["\\boxed{4}"] * 4, verdicts)
    assert [reward for reward, _ in found] == [1.5, 1.0, 0.25, 0.0]
    assert [values["format"] for _, values in found] == [1.0] * 4


def test_a_gate_on_something_unknown_makes_the_reward_unknown() -> None:
    """Correctness carries no weight here, but whether the format counts hangs on it (F19)."""
    parts: dict[str, Any] = {
        "correct": 0.0,
        "format": {"weight": 0.5, "gate": {"part": "correct", "at_least": 1.0}},
    }
    assert math.isnan(rewards(parts, ["\\boxed{4}"], [verdict("error")])[0][0])
    faded = {**parts, "format": {**parts["format"], "until_step": 1}, "overlong": {"weight": 1.0, "buffer_tokens": 4}}
    assert rewards(faded, ["\\boxed{4}"], [verdict("error")], step=1)[0][0] == 0.0


def test_another_verifier_is_asked_only_where_it_counts() -> None:
    parts = {
        "correct": 1.0,
        "judge": {"kind": "verifier", "verifier": "flexible", "weight": 0.5, "until_step": 10,
                  "gate": {"part": "correct", "at_least": 1.0}},
    }  # fmt: skip
    pool = ScriptedPool("correct", "error")
    verdicts = [verdict("correct"), verdict("wrong"), verdict("correct")]
    found = rewards(parts, ["x", "y", "z"], verdicts, step=5, pool=pool)
    assert pool.asked == ["flexible x", "flexible z"]
    assert found[0] == (1.25, {"correct": 1.0, "judge": 1.0})
    assert found[1] == (0.0, {"correct": 0.0})
    assert math.isnan(found[2][0])
    assert math.isnan(found[2][1]["judge"])
    late = ScriptedPool()
    assert [reward for reward, _ in rewards(parts, ["x"], [verdict("correct")], step=10, pool=late)] == [1.0]
    assert late.asked == []


def test_what_each_verifier_said_is_kept_beside_its_value() -> None:
    """A trace tells a judge that failed from one that was never asked."""
    second = {"kind": "verifier", "verifier": "flexible", "weight": 0.5, "gate": {"part": "correct", "at_least": 1.0}}
    composer = Composer(declared({"correct": 1.0, "judge": second}), {"a": TASK}, ScriptedPool("error"))  # type: ignore[arg-type]
    completions = [Completion(text, (1,), (0.0,), "stop") for text in "xy"]
    found = composer.rewards(0, [PROMPT] * 2, completions, [verdict("correct"), verdict("wrong")])
    assert [reward.verdicts for reward in found] == [{"correct": "correct", "judge": "error"}, {"correct": "wrong"}]


def test_a_gate_on_a_part_that_was_not_asked_is_closed() -> None:
    first = {"kind": "verifier", "verifier": "flexible", "weight": 1.0, "gate": {"part": "correct", "at_least": 1.0}}
    parts = {"correct": 1.0, "first": first, "format": {"weight": 0.5, "gate": {"part": "first", "at_least": 1.0}}}
    found = rewards(parts, ["\\boxed{4}"] * 2, [verdict("wrong"), verdict("correct")], pool=ScriptedPool("correct"))
    assert [reward for reward, _ in found] == [0.0, 2.5]


def test_a_real_second_verifier_scores_the_same_record() -> None:
    parts = {"correct": 1.0, "last": {"kind": "verifier", "verifier": FLEXIBLE.model_dump(), "weight": 0.5}}
    with VerifierPool() as pool:
        found = rewards(parts, ["so 4", "so 5", "so 4 Q: 5"], [verdict("unparseable")] * 3, pool=pool)
    assert [reward for reward, _ in found] == [0.5, 0.0, 0.5]


def test_the_sum_is_taken_over_the_parts_of_the_step() -> None:
    parts = declared({"correct": 1.0, "format": {"weight": 1.0, "until_step": 2}})
    values = {"correct": 0.25, "format": 1.0}
    assert [total(parts, values, step) for step in range(3)] == [1.25, 0.75, 0.25]


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        ({"overlong": {"weight": 1.0, "buffer_tokens": 11}}, "more than the 10 tokens of task a"),
        ({"format": {"weight": 1.0, "pattern": r"a{1,5000}"}}, "invalid repetition size"),
    ],
)
def test_parts_that_do_not_fit_are_refused_before_the_first_step(parts: dict[str, Any], told: str) -> None:
    with pytest.raises(SpecError, match=told):
        Composer(declared(parts), {"a": TASK}, ScriptedPool())  # type: ignore[arg-type]
