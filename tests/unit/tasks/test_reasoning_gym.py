"""Questions of reasoning-gym: distinct, apart between seeds and splits, and graded by our own verifier."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.ablation import TaskUse
from assay.contracts.errors import DataError, SpecError
from assay.contracts.records import Problem
from assay.contracts.task import ReasoningGymSource, TaskSpec
from assay.contracts.verifier import STRICT, SYMBOLIC
from assay.tasks.reasoning_gym import REFUSED, generate
from assay.tasks.splits import split_problems
from assay.verifiers import check_gold, verify

pytest.importorskip("reasoning_gym", reason="pip install reasoning-gym==0.1.25")

WORKER = Path(__file__).parents[3] / "assay/tasks/gym_worker.py"

LEVELS = {
    "easy": {"min_terms": 2, "max_terms": 2, "min_digits": 3, "max_digits": 3},
    "hard": {"min_terms": 5, "max_terms": 5, "min_digits": 2, "max_digits": 2},
}


def source(**changes: Any) -> ReasoningGymSource:
    given = {"kind": "reasoning_gym", "dataset": "chain_sum", "levels": LEVELS}
    return ReasoningGymSource.model_validate(given | changes)


def questions(problems: list[Problem]) -> set[str]:
    return {problem.question for problem in problems}


def test_problems_are_distinct_even_over_levels_and_repeatable() -> None:
    problems = generate(source(), "gym", "train", 101)
    assert len(questions(problems)) == len({problem.id for problem in problems}) == 101
    assert [problem.level for problem in problems[:4]] == ["easy", "hard", "easy", "hard"]
    assert generate(source(), "gym", "train", 101) == problems
    assert generate(source(), "gym", "train", 40) == problems[:40]


def test_neighbouring_seeds_share_next_to_nothing() -> None:
    """The package itself gives 299 of these 300 questions to both seeds."""
    from reasoning_gym import create_dataset

    theirs = [{item["question"] for item in create_dataset("chain_sum", seed=seed, size=300)} for seed in (42, 43)]
    assert len(theirs[0] & theirs[1]) > 290
    ours = [questions(generate(source(seed=seed), "gym", "train", 300)) for seed in (42, 43)]
    assert len(ours[0] & ours[1]) < 10


def test_a_split_draws_from_a_stream_of_its_own() -> None:
    assert (
        len(questions(generate(source(), "g", "train", 100)) & questions(generate(source(), "g", "heldout", 100))) < 5
    )


def test_a_level_that_runs_dry_gives_what_it_has() -> None:
    level = {"few": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}}
    problems = generate(source(levels=level), "gym", "train", 5_000)
    assert 100 < len(problems) == len(questions(problems)) < 400


def test_a_task_of_it_splits_without_overlap_and_grades_its_golds() -> None:
    task = TaskSpec.model_validate(
        {"name": "gym", "source": source().model_dump(), "prompt": "{question}", "max_completion_tokens": 8}
    )
    splits = split_problems(TaskUse(task=task, train=60, validation=20, heldout=40), 0)
    together = [problem for _, problems in splits.items() for problem in problems]
    assert len(questions(together)) == len(together) == 120
    assert check_gold(STRICT, [problem.gold for problem in together]) == []


def test_an_answer_that_only_occurs_in_the_response_earns_nothing() -> None:
    """Scorers of the package give credit for it."""
    from reasoning_gym import get_score_answer_fn

    (problem,) = generate(source(), "gym", "train", 1)
    response = f"{problem.gold}0 or {problem.gold} or 17, who knows"
    theirs = get_score_answer_fn("chain_sum")(response, {"answer": problem.gold, "metadata": {}})
    assert theirs > 0
    assert verify(STRICT, response, problem.gold).score == 0


def test_a_data_set_that_does_not_exist_is_refused_with_near_names() -> None:
    with pytest.raises(SpecError, match=r"source\.dataset: reasoning-gym has no 'chain_sums'\. Use one of .*chain_sum"):
        generate(source(dataset="chain_sums"), "gym", "train", 1)


@pytest.mark.parametrize("settings", [{"min_terms": 0}, {"terms": 3}])
def test_settings_that_the_data_set_refuses_are_named(settings: dict[str, int]) -> None:
    with pytest.raises(SpecError, match=r"source\.levels\.bad: chain_sum refuses"):
        generate(source(levels={"bad": settings}), "gym", "train", 1)


def test_another_version_of_the_package_is_refused() -> None:
    with pytest.raises(DataError, match=r"reasoning-gym 0\.\S+ is installed, and the source names 9\.9"):
        generate(source(version="9.9"), "gym", "train", 1)


@pytest.mark.parametrize("dataset", sorted(REFUSED))
def test_a_data_set_that_no_task_can_be_made_of_is_refused_before_it_is_drawn_from(dataset: str) -> None:
    """`codeio` would run programs and write files here; others have no answer to compare with."""
    with pytest.raises(SpecError, match=rf"source\.dataset: no {dataset}: it"):
        generate(source(dataset=dataset, levels={"all": {}}), "gym", "train", 1)


def test_a_data_set_that_draws_from_sets_and_global_generators_is_the_same_in_every_process() -> None:
    """Left to itself, `ransom_note` gives other questions to another PYTHONHASHSEED."""
    chosen = source(dataset="ransom_note", levels={"all": {}})
    assert generate(chosen, "gym", "train", 3) == generate(chosen, "gym", "train", 3)


EVERY = """
import json, runpy, sys
from pathlib import Path
from reasoning_gym.factory import DATASETS
drawn = runpy.run_path(sys.argv[1])["drawn"]
items = {name: [drawn(name, {}, seed) for seed in (1, 2)] for name in sorted(DATASETS.keys() - set(sys.argv[2:]))}
print("\\n" + json.dumps({"items": items, "files": [path.name for path in Path().iterdir()]}))
"""


def everything(folder: Path) -> dict[str, Any]:
    """Two questions of every data set as `gym_worker` writes them, and the files that this leaves."""
    folder.mkdir()
    command = [sys.executable, "-c", EVERY, str(WORKER), *REFUSED]
    told = subprocess.check_output(command, cwd=folder, env=os.environ | {"PYTHONHASHSEED": "0"}, text=True)
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


@pytest.mark.slow
def test_every_data_set_is_the_same_in_every_process_writes_no_file_and_has_golds_that_are_accepted(
    tmp_path: Path,
) -> None:
    first, second = everything(tmp_path / "1"), everything(tmp_path / "2")
    assert first == second
    assert first["files"] == []
    assert len(first["items"]) == 106 - len(REFUSED)
    golds = [item["answer"] for items in first["items"].values() for item in items]
    assert "" not in golds
    assert check_gold(SYMBOLIC, golds) == []
