"""Every kind of file, the hub and S3 give the same problems; data that is not what it was is refused."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from assay.contracts.ablation import TaskUse
from assay.contracts.errors import DataError
from assay.contracts.task import Digests, HubSource, TaskSpec
from assay.storage import open_store
from assay.tasks import load_task
from assay.tasks.hub import read_split, rows_digest
from assay.tasks.sources import load_problems, moving_digests
from assay.tasks.splits import split_problems
from tests.unit.tasks.conftest import file_task, write_jsonl

ROWS: list[dict[str, Any]] = [
    {"q": "What is 1, \"one\"?", "a": "1", "part": "x", "type": "Counting & Probability"},
    {"q": "Two\nlines?", "a": "2", "part": "y", "type": "Algebra"},
    {"q": "Three?", "a": "3", "part": "x", "type": "Counting & Probability"},
]  # fmt: skip


def write(path: Path, rows: list[dict[str, Any]] = ROWS) -> Path:
    if path.suffix == ".jsonl":
        return write_jsonl(path, rows)
    if path.suffix == ".json":
        path.write_text(json.dumps(rows))
    elif path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def problems(task: TaskSpec) -> list[tuple[str, str]]:
    return [(problem.question, problem.gold) for problem in load_problems(task.source, task.name, "train", 0)]


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.parquet", "a.csv"])
def test_every_kind_of_file_gives_the_same_problems(tmp_path: Path, name: str) -> None:
    assert problems(file_task(write(tmp_path / name))) == [(row["q"], row["a"]) for row in ROWS]


@pytest.mark.usefixtures("s3_server")
def test_a_file_on_s3_is_read_as_one_here(tmp_path: Path) -> None:
    open_store("s3://artifacts/data").upload(write(tmp_path / "a.jsonl"), "quiz.jsonl")
    text = "name: quiz\nsource: {kind: file, train: s3://artifacts/data/quiz.jsonl, question: '{q}', answer: a}\n"
    (tmp_path / "quiz.yaml").write_text(text + "prompt: '{question}'\nmax_completion_tokens: 8\n")
    assert problems(load_task(tmp_path / "quiz.yaml")) == [(row["q"], row["a"]) for row in ROWS]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HubSource:
    """A data set as `datasets` itself reads it, from a folder: offline, and by the same call as from the hub."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    folder = tmp_path / "set"
    folder.mkdir()
    write(folder / "train.jsonl")
    write(folder / "test.jsonl", ROWS[:1])
    return HubSource(kind="hub", name=str(folder), question="{q}", answer="a")


def test_the_hub_gives_the_rows_of_a_split(hub: HubSource) -> None:
    assert [p.question for p in load_problems(hub, "quiz", "train", 0)] == [row["q"] for row in ROWS]
    assert [p.question for p in load_problems(hub, "quiz", "heldout", 0)] == [ROWS[0]["q"]]


def test_a_split_that_the_hub_has_not_is_an_error_with_all_that_was_asked(hub: HubSource) -> None:
    wrong = hub.model_copy(update={"heldout": "gone"})
    with pytest.raises(DataError, match=r"source\.name: could not load .*split 'gone'"):
        load_problems(wrong, "quiz", "heldout", 0)


def test_the_hubs_rows_have_a_digest(hub: HubSource) -> None:
    wanted = rows_digest(read_split(hub, "train"))
    held = hub.model_copy(update={"digest": hub.digest.model_copy(update={"train": wanted})})
    assert len(load_problems(held, "quiz", "train", 0)) == 3
    other = hub.model_copy(update={"digest": hub.digest.model_copy(update={"train": "0" * 64})})
    with pytest.raises(DataError, match=rf"source\.digest\.train: the data has the digest {wanted}, and 0000"):
        load_problems(other, "quiz", "train", 0)


def test_rows_that_nothing_pins_are_given_their_digest_of_today(hub: HubSource) -> None:
    today = {split: rows_digest(read_split(hub, name)) for split, name in (("train", "train"), ("heldout", "test"))}
    assert moving_digests(hub) == today
    half = hub.model_copy(update={"digest": Digests(train=today["train"])})
    assert moving_digests(half) == {"heldout": today["heldout"]}
    assert hub.model_copy(update={"digest": Digests(**today)}).moving == ()
    assert hub.model_copy(update={"revision": "f" * 40}).moving == ()


def test_a_file_with_another_digest_is_refused_with_the_one_found(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl")
    found = __import__("hashlib").sha256(path.read_bytes()).hexdigest()
    assert len(problems(file_task(path, digest={"train": found}))) == 3
    with pytest.raises(DataError, match=rf"source\.digest\.train: the data has the digest {found}, and aaaa"):
        problems(file_task(path, digest={"train": "a" * 64}))


def test_rows_of_another_part_are_not_of_the_task(tmp_path: Path) -> None:
    task = file_task(write(tmp_path / "a.jsonl"), only={"part": "x"})
    assert [gold for _, gold in problems(task)] == ["1", "3"]


def test_ids_of_math_are_subject_and_number_within_it(tmp_path: Path) -> None:
    """F06: the id that a curriculum of the notebooks holds."""
    rows = [*ROWS, {"q": "Four?", "a": "4", "type": "Algebra", "unique_id": "test/algebra/7.json", "part": ""}]
    task = file_task(
        write_jsonl(tmp_path / "a.jsonl", rows), subject="type", id=["unique_id", "{type} {row_of_subject}"]
    )
    found = load_problems(task.source, "math", "train", 0)
    assert [problem.id for problem in found] == [
        "math/counting_and_probability_0", "math/algebra_0", "math/counting_and_probability_1",
        "math/test_algebra_7_json",
    ]  # fmt: skip
    assert [problem.subject for problem in found][:2] == ["Counting & Probability", "Algebra"]


def test_an_answer_may_be_a_json_object_of_fields(tmp_path: Path) -> None:
    rows = [{"q": "x", "ids": ["a:b"], "args": [{"n": None}], "more": ""}]
    answer = {"instruction_id_list": "ids", "kwargs": "args", "setup": "more?", "fn_name": "gone?", "all": "=x?"}
    task = file_task(write_jsonl(tmp_path / "a.jsonl", rows), answer=answer)
    (problem,) = load_problems(task.source, "quiz", "train", 0)
    assert json.loads(problem.gold) == {
        "instruction_id_list": ["a:b"], "kwargs": [{"n": None}], "setup": "", "fn_name": None, "all": "x?",
    }  # fmt: skip


def test_a_gap_in_an_answer_of_several_fields_is_no_gold(tmp_path: Path) -> None:
    task = file_task(write_jsonl(tmp_path / "a.jsonl", [{"q": "x", "io": ""}]), answer={"inputs": "io.inputs"})
    assert problems(task) == [("x", "")]


def test_an_answer_ends_where_the_task_says(tmp_path: Path) -> None:
    rows = [{"q": "x", "a": "so #### 9 (apples)"}]
    assert problems(file_task(write_jsonl(tmp_path / "a.jsonl", rows), answer_after="####", answer_before=" (")) == [
        ("x", "9")
    ]


def many(count: int) -> list[dict[str, Any]]:
    return [{"q": f"Question {i}?", "a": str(i) if i != 4 else None, "i": i} for i in range(count)]


def splits_of(task: TaskSpec) -> dict[str, int]:
    return split_problems(TaskUse(task=task, train=10, validation=4, heldout=6), 0).dropped


def test_known_bad_golds_are_left_out_and_counted_apart_from_unknown_gaps(tmp_path: Path) -> None:
    task = file_task(write_jsonl(tmp_path / "a.jsonl", many(30)), id="i")
    assert splits_of(task) == {"no_gold_train": 1}
    known = {"quiz/4": "no answer", "quiz/7": "the answer is wrong"}
    assert splits_of(task.model_copy(update={"known_bad": known})) == {"known_bad_train": 2}


def test_a_known_bad_gold_that_the_data_has_not_is_an_error(tmp_path: Path) -> None:
    """F06: nothing is skipped silently."""
    task = file_task(write_jsonl(tmp_path / "a.jsonl", many(30)), id="i")
    with pytest.raises(DataError, match="task quiz: known_bad: 1 ids are not in the data: quiz/99"):
        splits_of(task.model_copy(update={"known_bad": {"quiz/99": "gone"}}))
