"""Records with the columns of MBPP and APPS: from the row to the prompt to the verdict on a program.

The records are this project's own; columns, types and habits (`\\r\\n`, `class Solution`, names that nobody imports,
lost tests, no solution) are those of google-research-datasets/mbpp (`full`) and codeparrot/apps (`all`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.ablation import TaskUse
from assay.contracts.errors import StageError
from assay.contracts.records import Problem
from assay.contracts.task import TaskSpec
from assay.tasks import load_problems, load_task, render, split_problems
from assay.tasks.shots import shots_of
from assay.verifiers import VerifierPool, check_gold, sandbox
from tests.unit.tasks.test_task_files import TASKS, TurnTokenizer, over

ROWS = Path(__file__).parent / "programs"


def task_of(name: str) -> TaskSpec:
    return over(load_task(TASKS / f"{name}.yaml"), ROWS / f"{name}.jsonl")


def problems_of(task: TaskSpec) -> dict[str, Problem]:
    return {problem.id: problem for problem in load_problems(task.source, task.name, "train", 0)}


@pytest.fixture(autouse=True)
def _sandboxed() -> None:
    if sys.platform != "linux":
        pytest.skip("programs run in Linux namespaces")
    try:
        sandbox.require()
    except StageError as missing:
        pytest.skip(str(missing))


def judged(task: TaskSpec, responses: dict[str, str]) -> dict[str, str]:
    problems = problems_of(task)
    with VerifierPool() as pool:
        answers = [(response, problems[identity].gold) for identity, response in responses.items()]
        verdicts = pool.score(task.verifier, answers, task.stop)
    return dict(zip(responses, (verdict.status for verdict in verdicts), strict=True))


@pytest.mark.parametrize(("name", "graded"), [("mbpp", 6), ("apps", 6)])
def test_every_solution_passes_its_own_tests(name: str, graded: int) -> None:
    golds = [problem.gold for problem in problems_of(task_of(name)).values() if problem.gold]
    with_solution = [gold for gold in golds if json.loads(gold)["solution"]]
    assert len(with_solution) == graded
    assert check_gold(task_of(name).verifier, golds) == []


def test_a_question_of_mbpp_is_asked_with_its_three_tests_after_three_examples() -> None:
    task = task_of("mbpp")
    problem = problems_of(task)["mbpp/602"]
    prompt = render(task, problem, shots=shots_of(task, [problem], None))
    assert prompt.count("[BEGIN]") == 4
    assert prompt.endswith(
        "here is your task: Write a python function to find the area of a circle. Your code should pass these tests:"
        "\n\nassert math.isclose(circle_area(1), 3.14159265, rel_tol=0.001)\nassert math.isclose(circle_area(0), 0)\n"
        "assert math.isclose(circle_area(2), 12.5663706, rel_tol=0.001)\n[BEGIN]\n"
    )


def test_what_a_model_writes_for_mbpp_is_judged_up_to_its_mark() -> None:
    right = {row["task_id"]: row["code"] for row in map(json.loads, (ROWS / "mbpp.jsonl").read_text().splitlines())}
    responses = {f"mbpp/{number}": f"{code}\n[DONE]\nThis is wrong: def" for number, code in right.items()}
    assert set(judged(task_of("mbpp"), responses).values()) == {"correct"}
    others = {"mbpp/601": "def double_all(xs):\n  return xs", "mbpp/604": "", "mbpp/605": "no"}
    assert list(judged(task_of("mbpp"), others).values()) == ["wrong", "unparseable", "wrong"]


def fenced(program: str) -> str:
    return f"Here it is.\n```python\n{program}\n```\n"


APPS: list[tuple[str, str, str]] = [
    ("apps/9001", "print(sum(map(int, input().split())))", "correct"),
    ("apps/9001", "print(3)", "wrong"),
    ("apps/9002", "while True: print(input().upper())", "wrong"),  # ends with an EOFError
    ("apps/9003", "input()\nx = list(map(float, input().split()))\nprint(f'{sum(x) / len(x):.3f}')", "correct"),
    ("apps/9004", "def join_words(w): return ', '.join(w)", "correct"),
    ("apps/9004", "def join(w): return ', '.join(w)", "wrong"),
    ("apps/9005", "class Solution:\n    def twoSum(self, nums, target):\n        return [0, 1]", "correct"),
    ("apps/9005", "def twoSum(nums, target): return [1, 0]", "wrong"),
    ("apps/9006", "def is_even(n): return not n & 1", "correct"),
    ("apps/9006", "def is_even(n): return True", "wrong"),
    ("apps/9007", "n = input()\nprint(n, n)", "correct"),
]


@pytest.mark.parametrize(("identity", "program", "status"), APPS)
def test_a_program_for_apps_is_judged(identity: str, program: str, status: str) -> None:
    assert judged(task_of("apps"), {identity: fenced(program)}) == {identity: status}


def test_a_question_of_apps_is_asked_with_its_starter_code() -> None:
    task = task_of("apps")
    prompt = render(task, problems_of(task)["apps/9004"], TurnTokenizer())
    assert prompt.startswith("Write a function that joins words with a comma.\ndef join_words(words):\n\t\n")
    assert "Answer with one Python program in a code block." in prompt


def test_a_problem_without_tests_is_no_problem_and_is_counted() -> None:
    splits = split_problems(TaskUse(task=task_of("apps"), train=3, validation=1, heldout=3), 0)
    assert splits.dropped == {"no_gold_train": 1}
    assert "apps/9008" not in {problem.id for _, problems in splits.items() for problem in problems}


def test_the_levels_of_apps_are_its_difficulties() -> None:
    found: dict[str, Any] = {problem.level: 1 for problem in problems_of(task_of("apps")).values()}
    assert sorted(found) == ["competition", "interview", "introductory"]
