"""The writers of the base model's corpus have the habits their module says they have."""

from __future__ import annotations

import random
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "scripts"))
from sum_writers import SLIP, completion

DRAWS = 4000


def habit(text: str) -> str:
    if "+" not in text:
        return "hasty"
    return "careful" if "\\boxed" in text else "forgetful"


def texts(terms: list[int]) -> list[str]:
    rng = random.Random(0)
    return [completion(rng, terms) for _ in range(DRAWS)]


@pytest.mark.parametrize(
    ("terms", "shares"),
    [
        ([2, 3, 4], {"hasty": 0.53, "forgetful": 0.0, "careful": 0.47}),
        ([5] * 7, {"hasty": 0.65, "forgetful": 0.24, "careful": 0.11}),
    ],
)
def test_long_sums_tempt_more_writers_into_bad_habits(terms: list[int], shares: dict[str, float]) -> None:
    counted = Counter(map(habit, texts(terms)))
    assert {name: counted[name] / DRAWS for name in shares} == pytest.approx(shares, abs=0.03)


def test_hasty_writers_overlook_the_last_term_of_a_long_sum_and_of_no_short_one() -> None:
    hasty_answers = Counter(text for text in texts([1, 2, 3, 4, 5, 6, 7]) if habit(text) == "hasty")
    assert hasty_answers.keys() == {" The answer is \\boxed{28}.", " The answer is \\boxed{21}."}
    assert hasty_answers[" The answer is \\boxed{21}."] > hasty_answers[" The answer is \\boxed{28}."]
    assert {text for text in texts([1, 2, 3]) if habit(text) == "hasty"} == {" The answer is \\boxed{6}."}


def test_running_sums_are_right_but_for_a_dropped_carry_now_and_then() -> None:
    slips = steps = 0
    for text in texts([8, 5]):
        for before, term, after in re.findall(r"(\d+)\+(\d+)=(\d+)", text):
            steps += 1
            slips += int(before) + int(term) - int(after) == 10
            assert int(before) + int(term) - int(after) in {0, 10}
    assert slips / steps == pytest.approx(SLIP, abs=0.02)
    assert all("8+5=13, +1=14" in text for text in texts([8, 5, 1]) if habit(text) != "hasty" and "=3" not in text)
