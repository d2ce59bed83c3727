"""Every task file under configs/tasks reads data of the columns that its data set has.

Where the data is not at hand, rows with the columns that the data set's page lists stand in for it.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.task import Digests, FileSource, TableSource, TaskSpec
from assay.tasks import load_problems, load_task, render
from assay.tasks.shots import shots_of
from tests.unit.tasks.conftest import write_jsonl

TASKS = Path(__file__).parents[3] / "configs" / "tasks"
CHAT = [{"role": "user", "content": "Say hi. Use no commas."}]
MATH_ROW = {
    "problem": "Find $x$.",
    "level": "Level 5",
    "type": "Number Theory",
    "solution": r"Thus \boxed{\frac{1}{2}}.",
}
ARC_ROW = {
    "id": "Mercury_7", "question": "Why?", "answerKey": "2", "choices": {"text": ["sun", "rain"], "label": ["1", "2"]},
}  # fmt: skip

ROWS: dict[str, tuple[dict[str, Any], str, str, Any]] = {
    "minerva_math": (MATH_ROW, "minerva_math/", "Problem:\nFind $x$.\n\nSolution:", r"\frac{1}{2}"),
    "hendrycks_math": (MATH_ROW, "hendrycks_math/", "Problem: Find $x$.\nAnswer:", r"\frac{1}{2}"),
    "asdiv": (
        {"body": "Ann has 9.", "question": "How many?", "solution_type": "Sum", "answer": "9 (apples)", "formula": ""},
        "asdiv/", "Ann has 9.\nQuestion:How many?\nAnswer:", "9",
    ),
    "arc_easy": (
        ARC_ROW, "arc_easy/mercury_7",
        "Question: Why?\nA. sun\nB. rain\nAnswer with the letter of the right option.\nAnswer:",
        {"answer": "B", "choices": ["sun", "rain"]},
    ),
    "arc_challenge": (
        ARC_ROW, "arc_challenge/mercury_7",
        "Question: Why?\nA. sun\nB. rain\nAnswer with the letter of the right option.\nAnswer:",
        {"answer": "B", "choices": ["sun", "rain"]},
    ),
    "arc_challenge_chat": (
        ARC_ROW, "arc_challenge_chat/mercury_7", "The best answer is", {"answer": "B", "choices": ["sun", "rain"]},
    ),
    "aime": (
        {"ID": "1983-1", "Year": 1983, "Problem Number": 1, "Question": "Find $x$.", "Answer": "60", "Part": None},
        "aime/1983_1", "Question: Find $x$.\nAnswer:", "60",
    ),
    "beyond_aime": (
        {"problem": "Find $x$.", "answer": 281}, "beyond_aime/",
        "Problem: Find $x$.\nPut the final answer in \\boxed{}.\nSolution:", "281",
    ),
    "if_multi_constraints": (
        {
            "key": "k7", "messages": CHAT, "dataset": "ifeval", "constraint_type": "multi", "constraint": "No commas.",
            "ground_truth": "[{'instruction_id': ['punctuation:no_comma'], 'kwargs': [None]}]",
        },
        "if_multi_constraints/k7", "Say hi. Use no commas.",
        {"instruction_id_list": ["punctuation:no_comma"], "kwargs": [None], "prompt": "Say hi. Use no commas."},
    ),
    "rlvr_gsm8k": (
        {"messages": CHAT, "ground_truth": "72", "dataset": "gsm8k", "constraint_type": "", "constraint": ""},
        "rlvr_gsm8k/", "Say hi. Use no commas.", "72",
    ),
    "rlvr_math": (
        {"messages": CHAT, "ground_truth": r"\frac{1}{2}", "dataset": "MATH", "constraint_type": "", "constraint": ""},
        "rlvr_math/", "Say hi. Use no commas.", r"\frac{1}{2}",
    ),
    "rlvr_ifeval": (
        {
            "messages": CHAT, "dataset": "ifeval", "constraint_type": "No Commas", "constraint": "No commas.",
            "ground_truth": '{"func_name": "validate_word_constraint", "N": 20, "quantifier": "around", "word": null}',
        },
        "rlvr_ifeval/", "Say hi. Use no commas.",
        {
            "instruction_id_list": ["length_constraints:number_words"] * 2, "prompt": "Say hi. Use no commas.",
            "kwargs": [{"num_words": 18, "relation": "at least"}, {"num_words": 23, "relation": "less than"}],
        },
    ),
    "mbpp": (
        {
            "task_id": 11, "text": "Write a function.", "code": "def f(): return 1", "test_setup_code": "",
            "test_list": ["assert f() == 1", "assert f()", "assert f() > 0"], "challenge_test_list": [],
        },
        "mbpp/11",
        "Write a function. Your code should pass these tests:\n\nassert f() == 1\nassert f()\nassert f() > 0\n[BEGIN]",
        {"tests": ["assert f() == 1", "assert f()", "assert f() > 0"], "setup": "", "solution": "def f(): return 1"},
    ),
    "apps": (
        {
            "problem_id": 4, "question": "Add.", "solutions": '["print(3)"]', "difficulty": "introductory", "url": "",
            "input_output": '{"inputs": ["1 2\\n"], "outputs": ["3\\n"]}', "starter_code": "",
        },
        "apps/4", "Add.\n\nAnswer with one Python program",
        {"inputs": ["1 2\n"], "outputs": ["3\n"], "fn_name": None, "solution": "print(3)"},
    ),
    "wiki_continuation": (
        {"id": "12", "url": "u", "title": "Anarchism", "text": "a" * 800 + "b" * 400 + "c"},
        "wiki_continuation/12", "a" * 800, "b" * 400,
    ),
}  # fmt: skip


def over(task: TaskSpec, path: Path) -> TaskSpec:
    """The task over a local file with the columns of its data set."""
    assert isinstance(task.source, TableSource)
    mapping = {key: getattr(task.source, key) for key in TableSource.model_fields if key not in ("kind", "digest")}
    source = FileSource(kind="file", train=str(path), digest=Digests(), **mapping)
    return task.model_copy(update={"source": source})


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_the_data_set_becomes_a_problem(tmp_path: Path, name: str) -> None:
    row, identity, shown, gold = ROWS[name]
    task = over(load_task(TASKS / f"{name}.yaml"), write_jsonl(tmp_path / "rows.jsonl", [row]))
    (problem,) = load_problems(task.source, name, "train", 0)
    assert problem.id.startswith(identity)
    assert shown in render(task, problem, TurnTokenizer(), shots_of(task, [problem], None))
    found = json.loads(problem.gold) if isinstance(gold, dict) else problem.gold
    assert (found if name != "apps" else {key: found[key] for key in gold}) == gold


class TurnTokenizer:
    """A chat template without marks."""

    chat_template = "turns"

    def apply_chat_template(self, conversation: list[dict[str, str]], **_: bool) -> str:
        return conversation[0]["content"]

    def encode(self, text: str, **_: bool) -> list[int]:
        return list(text.encode())


def test_every_task_on_the_hub_is_covered() -> None:
    hub = {task.name for task in map(load_task, TASKS.glob("*.yaml")) if task.source.kind == "hub"}
    assert hub == ROWS.keys()


@pytest.mark.parametrize("path", sorted(TASKS.glob("*.yaml")), ids=lambda path: path.stem)
def test_a_task_says_where_its_data_is_described_and_under_which_licence(path: Path) -> None:
    task = load_task(path)
    if task.source.kind != "arithmetic":
        assert task.card.startswith("https://")
        assert task.licence
    assert all(reason for reason in task.known_bad.values())
