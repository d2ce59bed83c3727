"""Rows become problems; what is wrong with a file is said with its path, its row, and the way out."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.contracts.errors import DataError
from assay.contracts.records import Problem
from assay.contracts.task import FileSource, HubSource
from assay.tasks.sources import data_digests, load_problems
from tests.unit.tasks.conftest import file_task, write_jsonl


def problems_of(path: Path, rows: list[dict[str, Any]], **source: Any) -> list[Problem]:
    task = file_task(write_jsonl(path, rows), **source)
    return load_problems(task.source, task.name, "train", 0)


def test_a_row_of_svamp_becomes_a_problem(tmp_path: Path) -> None:
    row = {
        "ID": "chal-1",
        "Body": "Each pack costs 76.",
        "Question": "How much?",
        "Answer": 51.0,
        "Type": "Subtraction",
    }
    path = tmp_path / "SVAMP.json"
    path.write_text(json.dumps([row]))
    source = FileSource(
        kind="file", train=str(path), question="{Body} {Question}", answer="Answer", level="Type", id="ID"
    )
    problems = load_problems(source, "svamp", "train", 0)
    assert problems == [Problem("svamp/chal_1", "svamp", "Each pack costs 76. How much?", "51", "Subtraction")]


@pytest.mark.parametrize(
    ("value", "gold"),
    [
        (51.0, "51"), (0.5, "0.5"), (-3, "-3"), (" 72 ", "72"), ("1,080", "1080"), ("109,200,000", "109200000"),
        ("-1,080.50", "-1080.50"), ("(1,080)", "(1,080)"), ("1,2", "1,2"), ("3,1000", "3,1000"), ("51.0", "51.0"),
    ],
)  # fmt: skip
def test_gold_is_tidied_only_where_its_meaning_cannot_change(tmp_path: Path, value: Any, gold: str) -> None:
    assert problems_of(tmp_path / "a.jsonl", [{"q": "?x", "a": value}])[0].gold == gold


def test_the_gold_of_gsm8k_follows_the_last_marker(tmp_path: Path) -> None:
    row = {"q": "x", "a": "48/2 = <<48/2=24>>24 #### not yet\n#### 1,080"}
    assert problems_of(tmp_path / "a.jsonl", [row], answer_after="####")[0].gold == "1080"


def test_an_answer_without_the_marker_is_an_error_with_its_row(tmp_path: Path) -> None:
    rows = [{"q": "x", "a": "#### 1"}, {"q": "y", "a": "it is 2"}]
    with pytest.raises(DataError, match=r"a\.jsonl:2: the answer holds no '####': 'it is 2'"):
        problems_of(tmp_path / "a.jsonl", rows, answer_after="####")


def test_braces_in_the_data_are_text(tmp_path: Path) -> None:
    row = {"q": r"Find $\frac{a}{b}$ of {a} and {0}", "a": "1"}
    assert problems_of(tmp_path / "a.jsonl", [row])[0].question == row["q"]


def test_a_field_that_rows_lack_is_named_with_those_they_have(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"field 'Body' is missing or null.*the row has: q, a"):
        problems_of(tmp_path / "a.jsonl", [{"q": "x", "a": "1"}], question="{Body}")


@pytest.mark.parametrize("field", ["answer", "level", "id"])
def test_a_misspelt_field_is_an_error_and_never_a_drop(tmp_path: Path, field: str) -> None:
    with pytest.raises(DataError, match="field 'nope' is missing"):
        problems_of(tmp_path / "a.jsonl", [{"q": "x", "a": "1"}], **{field: "nope"})


def test_a_row_without_gold_is_kept_for_the_splits_to_count(tmp_path: Path) -> None:
    rows = [{"q": "x", "a": "1"}, {"q": "y", "a": None}, {"q": "z", "a": " "}]
    assert [problem.gold for problem in problems_of(tmp_path / "a.jsonl", rows)] == ["1", "", ""]


def test_a_gap_that_pandas_writes_as_nan_is_no_gold(tmp_path: Path) -> None:
    assert problems_of(tmp_path / "a.jsonl", [{"q": "x", "a": float("nan")}])[0].gold == ""
    with pytest.raises(DataError, match="field 'q' is missing or null"):
        problems_of(tmp_path / "a.jsonl", [{"q": float("nan"), "a": 1}])


@pytest.mark.parametrize("name", ["a.jsonl", "a.json", "a.csv"])
def test_a_byte_order_mark_is_no_part_of_the_data(tmp_path: Path, name: str) -> None:
    text = {"a.jsonl": '{"q": "x", "a": "1"}', "a.json": '[{"q": "x", "a": "1"}]', "a.csv": "q,a\nx,1"}[name]
    (tmp_path / name).write_text(text, encoding="utf-8-sig")
    assert [problem.gold for problem in load_problems(file_task(tmp_path / name).source, "quiz", "train", 0)] == ["1"]


def test_a_digest_id_depends_on_the_question_and_not_on_its_place(tmp_path: Path) -> None:
    rows = [{"q": "x", "a": "1"}, {"q": "y", "a": "2"}]
    ids = {problem.question: problem.id for problem in problems_of(tmp_path / "a.jsonl", rows)}
    assert ids == {problem.question: problem.id for problem in problems_of(tmp_path / "b.jsonl", rows[::-1])}


def test_two_rows_under_one_id_are_refused(tmp_path: Path) -> None:
    rows = [{"q": "x", "a": "1", "i": "Q-1"}, {"q": "y", "a": "2", "i": "q 1"}]
    with pytest.raises(
        DataError, match=r"a\.jsonl:2: the id 'quiz/q_1' is that of .*a\.jsonl:1 too\. Make the ids differ"
    ):
        problems_of(tmp_path / "a.jsonl", rows, id="i")


def test_an_unset_variable_is_named_with_the_field_and_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASSAY_DATA", raising=False)
    task = file_task(Path("${ASSAY_DATA}/svamp/SVAMP.json"))
    with pytest.raises(DataError) as caught:
        load_problems(task.source, "svamp", "train", 0)
    assert str(caught.value).startswith("source.train: '${ASSAY_DATA}/svamp/SVAMP.json' needs the environment variable")
    assert "export ASSAY_DATA=" in caught.value.remedy


def test_a_missing_file_is_named_as_declared_and_as_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_DATA", str(tmp_path))
    task = file_task(Path("${ASSAY_DATA}/gone.json"))
    with pytest.raises(DataError, match=r"'\$\{ASSAY_DATA\}/gone.json', which is '.*/gone.json', is not a file"):
        load_problems(task.source, "quiz", "train", 0)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"q": 1}\n{"q": \n', r"a\.jsonl:2: not JSON"),
        ("a.json", "[1]", "row 1: 1 is not an object"),
        ("a.json", '{"q": 1}', "no array of rows"),
        ("a.jsonl", "", "there are no rows in it"),
        ("a.txt", "q,a", "extension '.txt' is not known"),
        ("a.csv", "q,a", "there are no rows in it"),
        ("a.csv", 'q,a\nx,1\n"y",2,3\n', r"a\.csv:3: 3 values under 2 columns"),
        ("a.csv", 'q,a\n"x"y,1\n', r"a\.csv:2: not CSV"),
        ("a.csv", "q,a,q\nx,1,y", r"a\.csv:1: 1 columns share a name: q"),
        ("a.csv", "q,a\n\xe9,1\n", r"a\.csv:2: not UTF-8 text: the byte 0xe9"),
        ("a.jsonl", '{"q": 1, "a": 1}\n{"q": "\xe9"}', r"a\.jsonl:2: not UTF-8 text: the byte 0xe9"),
        ("a.jsonl", "[" * 100_000, r"a\.jsonl:1: not JSON: maximum recursion"),
        ("a.parquet", "PAR2", "not a Parquet file"),
    ],
)
def test_a_malformed_file_is_refused_with_the_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text, encoding="latin-1")
    task = file_task(tmp_path / name)
    with pytest.raises(DataError, match=message):
        load_problems(task.source, "quiz", "train", 0)


def test_a_line_separator_inside_a_string_does_not_end_a_json_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"q": "one\u2028two", "a": "1"}, ensure_ascii=False), encoding="utf-8")
    task = file_task(path)
    assert load_problems(task.source, "quiz", "train", 0)[0].question == "one\u2028two"


def test_the_data_digest_follows_the_bytes(tmp_path: Path) -> None:
    task = file_task(write_jsonl(tmp_path / "a.jsonl", [{"q": "x", "a": "1"}]))
    before = data_digests(task.source)
    write_jsonl(tmp_path / "a.jsonl", [{"q": "x", "a": "2"}])
    assert before.keys() == data_digests(task.source).keys() == {str(tmp_path / "a.jsonl")}
    assert before != data_digests(task.source)


def test_the_hub_is_read_with_the_names_the_task_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def load_dataset(name: str, config: str | None, *, split: str, revision: str) -> list[dict[str, str]]:
        asked.append((name, config, split, revision))
        return [{"question": "x", "answer": "#### 7"}]

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    source = HubSource(
        kind="hub", name="openai/gsm8k", config="main", question="{question}", answer="answer", answer_after="####"
    )
    problems = load_problems(source, "gsm8k", "heldout", 0)
    assert (problems[0].gold, asked) == ("7", [("openai/gsm8k", "main", "test", "main")])


def test_a_hub_that_cannot_be_reached_is_a_data_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*_: Any, **__: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    source = HubSource(kind="hub", name="a/b", question="{q}", answer="a")
    with pytest.raises(DataError, match=r"could not load 'a/b'.*no route"):
        load_problems(source, "t", "train", 0)


def test_files_may_name_their_difficulty_differently(tmp_path: Path) -> None:
    """F30: MATH says `difficulty` where MATH-500 says `level`."""
    file = tmp_path / "rows.jsonl"
    file.write_text('{"q": "1+1", "a": "2", "difficulty": 5.0}\n{"q": "1+2", "a": "3", "level": 2}\n')
    source = FileSource(kind="file", train=str(file), question="{q}", answer="a", level=("level", "difficulty"))
    problems = load_problems(source, "math", "train", 2)
    assert [problem.level for problem in problems] == ["5", "2"]
