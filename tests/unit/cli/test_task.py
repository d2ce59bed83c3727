"""`assay task`: what there is, what is asked and who grades it, and the file that lm_eval is given."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from assay.cli.main import app
from assay.contracts.errors import InputError

REPOSITORY = Path(__file__).parents[3]


def assay(*arguments: Any) -> str:
    result = CliRunner().invoke(app, ["task", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture
def tasks(tmp_path: Path) -> Path:
    rows = [
        {"q": "1 + 1?", "a": "2"},
        {"q": "Best?", "a": "no number"},
        {"q": "Gap?", "a": ""},
        {"q": "Bad?", "a": "3"},
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row | {"i": i}) + "\n" for i, row in enumerate(rows)))
    source = {"kind": "file", "train": "rows.jsonl", "question": "{q}", "answer": "a", "id": "i"}
    task = {
        "name": "quiz", "source": source, "prompt": "Q: {question}\nA:", "max_completion_tokens": 8, "licence": "MIT",
        "max_evaluation_tokens": 99, "verifier": "flexible", "known_bad": {"quiz/3": "it is 4"}, "stop": ["Q:"],
    }  # fmt: skip
    (tmp_path / "quiz.yaml").write_text(yaml.safe_dump(task))
    return tmp_path


def test_the_tasks_of_the_project_are_listed() -> None:
    lines = assay("list", "--tasks", REPOSITORY / "configs/tasks").splitlines()
    assert len(lines) == 1 + len(list((REPOSITORY / "configs/tasks").glob("*.yaml")))
    assert "".join(next(line for line in lines if line.startswith("mbpp"))).split()[1:] == [
        "google-research-datasets/mbpp", "hub", "code", "mbpp",
    ]  # fmt: skip


def test_problems_are_counted_where_the_data_is(tasks: Path) -> None:
    assert "4 all" in assay("list", "--tasks", tasks)
    (tasks / "rows.jsonl").unlink()
    assert "absent" in assay("list", "--tasks", tasks)


def test_a_task_shows_its_prompt_and_grades_its_own_golds(tasks: Path) -> None:
    told = assay("show", tasks / "quiz.yaml")
    assert "\nprompt of quiz/0\nQ: 1 + 1?\nA:\n\ngold answer\n2\n\nthe response " in told
    assert " is correct\n\n1 of 2 gold answers are accepted\n" in told
    assert "  refused: quiz/1: 'no number'\n" in told
    assert "  quiz/2 has no gold answer\n  left out: quiz/3: it is 4\n" in told
    assert "8 tokens, 99 in evaluation; ends at ['Q:']" in told


def test_a_generated_task_needs_no_data() -> None:
    told = assay("show", "sums", "--tasks", REPOSITORY / "configs/tasks", "--count", "20")
    assert "40 of 40 gold answers are accepted" in told


def test_what_lm_eval_is_given_is_the_prompt_that_is_trained_on(tasks: Path) -> None:
    told = assay("lm-eval", "quiz", "--tasks", tasks, "-o", tasks / "out")
    config = yaml.safe_load((tasks / "out/quiz.yaml").read_text())
    assert config["generation_kwargs"]["max_gen_toks"] == 99
    rows = [json.loads(line) for line in (tasks / "out/quiz.jsonl").read_text().splitlines()]
    assert rows == [
        {"id": "quiz/0", "prompt": "Q: 1 + 1?\nA:", "gold": "2"},
        {"id": "quiz/1", "prompt": "Q: Best?\nA:", "gold": "no number"},
    ]
    assert f"--include_path {tasks / 'out'} --tasks quiz\n" in told


def test_of_a_chat_lm_eval_applies_the_template(tasks: Path) -> None:
    path = tasks / "quiz.yaml"
    path.write_text(path.read_text() + "style: chat\n")
    assert "--apply_chat_template" in assay("lm-eval", path, "-o", tasks / "out", "--split", "train")
    assert json.loads((tasks / "out/quiz.jsonl").read_text().splitlines()[0])["prompt"] == "Q: 1 + 1?\nA:"


def test_what_is_not_there_is_refused_with_what_is(tasks: Path) -> None:
    with pytest.raises(InputError, match=r"has no task 'quizz'\. Give a task file, or one of quiz"):
        assay("show", "quizz", "--tasks", tasks)
    with pytest.raises(InputError, match=r"--split: task quiz has no 'heldout'\. Use train"):
        assay("lm-eval", "quiz", "--tasks", tasks, "--split", "heldout")
