"""No problem is trained on and tested on, whatever the files hold."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.ablation import TaskUse
from assay.contracts.errors import DataError
from assay.contracts.task import TaskSpec
from assay.tasks.splits import Splits, split_problems
from tests.unit.tasks.conftest import file_task, write_jsonl


def row(number: int, question: str | None = None) -> dict[str, Any]:
    return {"q": question or f"Question {number}?", "a": str(number), "level": "hard" if number % 4 == 0 else "easy"}


def use_of(
    tmp_path: Path, rows: list[dict[str, Any]], test_rows: list[dict[str, Any]] | None = None, **counts: int
) -> TaskUse:
    paths = {"heldout": str(write_jsonl(tmp_path / "heldout.jsonl", test_rows))} if test_rows else {}
    task = file_task(write_jsonl(tmp_path / "train.jsonl", rows), level="level", **paths)
    return TaskUse(task=task, **({"train": 20, "validation": 8, "heldout": 12} | counts))


def test_heldout_is_cut_from_train_when_it_has_no_file(tmp_path: Path) -> None:
    splits = split_problems(use_of(tmp_path, [row(i) for i in range(40)]), 0)
    ids = [problem.id for _, problems in splits.items() for problem in problems]
    assert [len(problems) for _, problems in splits.items()] == [20, 8, 12]
    assert len(set(ids)) == 40
    assert splits.dropped == {}


def test_a_question_in_both_files_is_never_trained_on(tmp_path: Path) -> None:
    rows = [row(i) for i in range(40)]
    heldout = [row(i, f"question   {i}?\n") for i in range(12)]
    splits = split_problems(use_of(tmp_path, rows, heldout), 0)
    trained = {problem.gold for problem in splits.train + splits.validation}
    assert trained.isdisjoint({str(i) for i in range(12)})
    assert {problem.gold for problem in splits.heldout} == {str(i) for i in range(12)}
    assert splits.dropped == {"duplicate_train": 12}


def test_heldout_questions_that_were_not_chosen_are_not_trained_on_either(tmp_path: Path) -> None:
    rows = [row(i) for i in range(60)]
    splits = split_problems(use_of(tmp_path, rows, rows[:30]), 0)
    assert splits.dropped == {"duplicate_train": 30}
    assert {int(problem.gold) for problem in splits.train} <= set(range(30, 60))


def test_repetitions_within_a_file_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [row(i) for i in range(40)]
    splits = split_problems(use_of(tmp_path, rows + rows[:3]), 0)
    assert splits.dropped == {"duplicate_train": 3}


def test_the_same_id_for_two_questions_in_two_files_is_refused(tmp_path: Path) -> None:
    rows = [row(i) | {"id": f"n{i}"} for i in range(40)]
    heldout = [row(i, f"Another {i}") | {"id": f"n{i}"} for i in range(12)]
    use = use_of(tmp_path, rows, heldout, train=30)
    source = use.task.source.model_copy(update={"id": "id"})
    task = use.task.model_copy(update={"source": source})
    with pytest.raises(DataError, match="name several problems"):
        split_problems(use.model_copy(update={"task": task}), 0)


def test_too_few_problems_says_how_many_there_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="train asks for 20 problems, and there are 5 to take from"):
        split_problems(use_of(tmp_path, [row(i) for i in range(25)]), 0)


def test_the_order_of_the_file_does_not_matter(tmp_path: Path) -> None:
    rows = [row(i) for i in range(60)]
    assert split_problems(use_of(tmp_path, rows), 3) == split_problems(use_of(tmp_path, rows[::-1]), 3)


def test_another_seed_chooses_other_problems(tmp_path: Path) -> None:
    use = use_of(tmp_path, [row(i) for i in range(400)])
    assert split_problems(use, 0).heldout != split_problems(use, 1).heldout


def test_data_that_grows_changes_few_of_the_chosen(tmp_path: Path) -> None:
    few = split_problems(use_of(tmp_path, [row(i) for i in range(400)], heldout=200), 0)
    more = split_problems(use_of(tmp_path, [row(i) for i in range(420)], heldout=200), 0)
    assert len({p.id for p in few.heldout} & {p.id for p in more.heldout}) >= 180


def test_how_much_is_trained_on_does_not_change_the_test(tmp_path: Path) -> None:
    rows = [row(i) for i in range(100)]
    one, other = (split_problems(use_of(tmp_path, rows, train=n), 0) for n in (20, 70))
    assert (one.heldout, one.validation) == (other.heldout, other.validation)


def test_heldout_holds_the_levels_as_the_data_does(tmp_path: Path) -> None:
    splits = split_problems(use_of(tmp_path, [row(i) for i in range(200)], heldout=40), 0)
    assert Counter(problem.level for problem in splits.heldout) == {"easy": 30, "hard": 10}


def sums(train: int, validation: int, heldout: int) -> Splits:
    source = {"kind": "arithmetic", "levels": {"2x1": [2, 1], "3x1": [3, 1]}}
    task = TaskSpec.model_validate(
        {"name": "digits", "source": source, "prompt": "{question}", "max_completion_tokens": 8}
    )
    return split_problems(TaskUse(task=task, train=train, validation=validation, heldout=heldout), 0)


def test_a_generated_task_is_filled_though_its_streams_overlap() -> None:
    splits = sums(64, 32, 64)
    assert [len(problems) for _, problems in splits.items()] == [64, 32, 64]
    assert len({problem.question for _, problems in splits.items() for problem in problems}) == 160
    assert splits.dropped["duplicate_train"] > 0


def test_a_generated_task_that_runs_dry_says_so() -> None:
    with pytest.raises(DataError, match="heldout asks for 256 problems, and there are 209"):
        sums(64, 32, 256)


def test_a_generated_heldout_split_does_not_depend_on_training() -> None:
    assert sums(64, 32, 64).heldout == sums(32, 16, 64).heldout
