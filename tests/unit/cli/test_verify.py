"""`assay verify` as a person uses it: lines in, a verdict for each, in order; what is told beside; what is refused."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from assay.cli.main import app
from assay.contracts.errors import DataError, InputError, SpecError

REPOSITORY = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "assay.cli", "verify"]
ENVIRONMENT = os.environ | {"PYTHONIOENCODING": "utf-8", "PYTHONPATH": str(REPOSITORY)}

REQUESTS: list[tuple[str, Any, str]] = [
    (json.dumps({"id": "a", "task": "sums", "response": "It is \\boxed{12}.", "gold": "12"}), "a", "correct"),
    (json.dumps({"id": 2, "task": "sums", "response": "It is \\boxed{13}.", "gold": "12"}), 2, "wrong"),
    (json.dumps({"id": "c", "task": "sums", "response": "", "gold": "12"}), "c", "unparseable"),
    ("{this is no JSON", None, "error"),
    ("[1, 2]", None, "error"),
    ("[" * 100_000, None, "error"),
    (json.dumps({"id": "no gold", "response": "\\boxed{1}"}), "no gold", "error"),
    (json.dumps({"id": "null", "response": None, "gold": "1"}), "null", "error"),
    (json.dumps({"id": "number", "response": "\\boxed{0.5}", "gold": 0.5}), "number", "correct"),
    (json.dumps({"id": "e", "response": "\\boxed{\\frac{1}{2}}", "gold": "0.5"}), "e", "correct"),
    (json.dumps({"id": "x²", "task": "unknown", "response": "\\boxed{(x+1)^2}", "gold": "x^2+2x+1"}), "x²", "correct"),
    (json.dumps({"id": "half a pair", "response": "\\boxed{\ud800}", "gold": "12"}), "half a pair", "wrong"),
    (
        json.dumps({"id": "stop", "task": "sums", "response": "\\boxed{12}\nQuestion: \\boxed{9}", "gold": "12"}),
        "stop",
        "correct",
    ),
]
"""Line, and the id and status that must come back."""


@pytest.fixture(scope="module")
def ended() -> subprocess.CompletedProcess[bytes]:
    given = "\n".join(line for line, _, _ in REQUESTS) + "\n\n"
    ended = subprocess.run(
        [*COMMAND, "--tasks", "configs/tasks"],
        input=given.encode(),
        capture_output=True,
        cwd=REPOSITORY,
        env=ENVIRONMENT,
        timeout=240,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr.decode()
    return ended


@pytest.fixture(scope="module")
def verdicts(ended: subprocess.CompletedProcess[bytes]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.stdout.decode().splitlines()]


def test_every_line_gets_a_verdict_in_order_with_its_id(verdicts: list[dict[str, Any]]) -> None:
    """F19: a line that cannot be read is an error, never skipped and never a wrong answer."""
    assert [(verdict["id"], verdict["status"]) for verdict in verdicts] == [
        (identity, status) for _, identity, status in REQUESTS
    ]


def test_only_right_answers_score(verdicts: list[dict[str, Any]]) -> None:
    assert [verdict["score"] for verdict in verdicts] == [float(status == "correct") for _, _, status in REQUESTS]


def test_a_verdict_says_what_was_read_and_how(verdicts: list[dict[str, Any]]) -> None:
    """F33."""
    assert set(verdicts[0]) == {"score", "status", "extracted", "method", "detail", "version", "seconds", "id"}
    assert (verdicts[0]["extracted"], verdicts[0]["method"]) == ("12", "boxed")
    assert verdicts[0]["version"] >= 1
    assert verdicts[3]["detail"].startswith("not a request")
    assert verdicts[6]["detail"] == "not a request: no 'gold' among id, response; --field says what is what"


def test_the_summary_is_on_standard_error_alone(ended: subprocess.CompletedProcess[bytes]) -> None:
    told = ended.stderr.decode()
    assert "13 responses judged by symbolic" in told
    assert "62.5 % right (95 % interval 30.6 to 86.3) of 8 judged" in told  # Wilson's, of 5 in 8
    assert "first error: line 4: not a request" in told
    assert "task sums: 50.0 % right" in told


def test_whoever_writes_one_line_and_reads_gets_its_verdict() -> None:
    """A program may ask one question at a time."""
    with subprocess.Popen(
        [*COMMAND, "--verifier", "strict", "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for answer in ("4", "5"):
            process.stdin.write(json.dumps({"id": answer, "response": f"\\boxed{{{answer}}}", "gold": "4"}).encode())
            process.stdin.write(b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["id"] == answer
        process.stdin.close()
        assert process.wait(60) == 0


@pytest.fixture
def answers(tmp_path: Path) -> Path:
    rows = [
        {"id": place, "response": text, "gold": "12"}
        for place, text in enumerate(["so \\boxed{12}", "It is 12.", "\\boxed{2^2 \\cdot 3}", "", "\\boxed{13}"])
    ]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def assay(*arguments: Any) -> Result:
    result = CliRunner().invoke(app, ["verify", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def statuses(lines: str) -> list[str]:
    return [json.loads(line)["status"] for line in lines.splitlines()]


STRICT = ["correct", "unparseable", "wrong", "unparseable", "wrong"]


def test_a_file_is_judged_into_a_file(answers: Path, tmp_path: Path) -> None:
    output = tmp_path / "verdicts.jsonl"
    result = assay(answers, "--verifier", "strict", "-o", output)
    assert statuses(output.read_text()) == STRICT
    assert result.stdout == ""
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["answers.jsonl", "verdicts.jsonl"]


def test_a_kind_with_options_is_written_in_either_of_two_ways(answers: Path) -> None:
    for written in ("math:extract=boxed_last,equality=exact", "{kind: math, extract: boxed_last, equality: exact}"):
        assert statuses(assay(answers, "--verifier", written, "-q").stdout) == STRICT


def test_parquet_and_its_columns_by_other_names(answers: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    path = tmp_path / "answers.parquet"
    table = {"n": [row["id"] for row in rows], "output": [row["response"] for row in rows], "gold": ["12"] * 4 + [None]}
    pq.write_table(pa.table(table), path)
    result = assay(path, "--verifier", "strict", "--field", "id=n", "--field", "response=output", "-q")
    assert statuses(result.stdout) == [*STRICT[:4], "error"]
    assert [json.loads(line)["id"] for line in result.stdout.splitlines()] == [0, 1, 2, 3, 4]
    with pytest.raises(DataError, match=r"has no column 'response'; its columns are n, output, gold. Say which it is"):
        assay(path)


def test_of_several_files_a_verdict_names_its_own(answers: Path) -> None:
    other = answers.with_name("other.jsonl")
    other.write_text(answers.read_text())
    result = assay(answers, other, "--verifier", "strict")
    assert [json.loads(line)["file"] for line in result.stdout.splitlines()] == [str(answers)] * 5 + [str(other)] * 5
    assert "other.jsonl, task -: 20.0 % right" in result.stderr


def test_a_task_brings_its_verifier_and_its_stop_strings(tmp_path: Path) -> None:
    """F12."""
    path, task = tmp_path / "answers.jsonl", tmp_path / "letters.yaml"
    path.write_text(json.dumps({"id": 1, "response": "It is 7.\nStop\nNo, 8.", "gold": "7"}) + "\n")
    task.write_text(
        "name: letters\nsource: {kind: arithmetic, levels: {easy: [2, 1]}}\nprompt: '{question}'\nstop: [Stop]\n"
        "max_completion_tokens: 9\nverifier: flexible\n"
    )
    assert statuses(assay(path, "--task", task, "-q").stdout) == ["correct"]
    assert statuses(assay(path, "--task", "letters", "--tasks", tmp_path, "-q").stdout) == ["correct"]
    assert statuses(assay(path, "--task", task, "--verifier", "strict", "-q").stdout) == ["unparseable"]
    assert statuses(assay(path, "--verifier", "flexible", "-q").stdout) == ["wrong"]


def test_the_verifier_of_a_task_that_no_folder_has_is_an_error_of_that_line(answers: Path) -> None:
    """F19."""
    output = answers.with_name("verdicts.jsonl")
    with pytest.raises(DataError, match="not one response could be judged; line 1: there is no task None, whose"):
        assay(answers, "--verifier", "task", "-o", output)
    assert statuses(output.read_text()) == ["error"] * 5


def test_two_verifiers_side_by_side(answers: Path, tmp_path: Path) -> None:
    """F03, F33: where they differ, and what each of them read."""
    output = tmp_path / "both.jsonl"
    told = assay(answers, "--compare", "strict", "symbolic", "-o", output).stdout
    assert "strict and symbolic say the same of 3 of 5 responses." in told
    assert "strict: unparseable, symbolic: correct (1)\n\n  line 2, id 1\n    gold: 12\n" in told
    assert "    strict: read nothing\n    symbolic: read 12 by " in told
    assert "strict: wrong, symbolic: correct (1)" in told
    rows = [json.loads(line) for line in output.read_text().splitlines()]
    assert [row["strict"]["status"] for row in rows] == STRICT
    assert [row["symbolic"]["status"] == "correct" for row in rows] == [True, True, True, False, False]


def test_an_example_of_a_difference_cannot_command_the_terminal(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_text(json.dumps({"id": 1, "response": "\x1b[2J\x07 4", "gold": "4"}) + "\n")
    assert "\x1b" not in assay(path, "--compare", "strict", "flexible").stdout


REFUSED: list[tuple[list[str], type[Exception], str]] = [
    (["--verifier", "stric"], InputError, "--verifier: there is no verifier 'stric'. Use strict, flexible, symbolic"),
    (["--verifier", "choice:mode=x"], SpecError, "--verifier choice:mode=x: verifier.mode: Input should be 'legacy'"),
    (["--verifier", "{kind: choice, mod: x}"], SpecError, "Did you mean `mode`?"),
    (["--verifier", "{kind: ["], InputError, "is not YAML"),
    (["--compare", "strict", "strict"], InputError, "'strict' is given twice"),
    (["--compare", "strict", "symbolic", "--verifier", "task"], InputError, "names the verifiers already"),
    (["--field", "answer=x"], InputError, "--field: answer=x. Write one of id, task, response, gold"),
    (["--task", "nothing"], InputError, "has no task 'nothing'"),
    (["--tasks", "nowhere"], InputError, "nowhere is not a folder"),
    (["nowhere.jsonl"], InputError, "nowhere.jsonl: is not a file"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), REFUSED)
def test_what_cannot_work_is_refused_before_anything_is_read(
    arguments: list[str], error: type[Exception], message: str, answers: Path
) -> None:
    given = arguments if arguments[0].endswith(".jsonl") else [*arguments, str(answers)]
    with pytest.raises(error) as refused:
        assay(*given)
    assert message in str(refused.value)


def test_the_file_that_is_read_is_not_written_over(answers: Path) -> None:
    before = answers.read_text()
    with pytest.raises(InputError, match="is also read"):
        assay(answers, "-o", answers)
    assert answers.read_text() == before


ROWS = [{"id": place, "response": text, "gold": "12"} for place, text in enumerate(["12", "13", "So 12."])]


def written(path: Path) -> Path:
    if path.suffix == ".json":
        path.write_text(json.dumps(ROWS, indent=1))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress("".join(json.dumps(row) + "\n" for row in ROWS).encode()))
    else:
        path.write_text("id,response,gold\n" + "".join(f"{row['id']},{row['response']},12\n" for row in ROWS))
    return path


@pytest.mark.parametrize("name", ["a.json", "a.jsonl.gz", "a.csv"])
def test_other_kinds_of_file(tmp_path: Path, name: str) -> None:
    result = assay(written(tmp_path / name), "--verifier", "flexible")
    assert statuses(result.stdout) == ["correct", "wrong", "correct"]
    assert [str(json.loads(line)["id"]) for line in result.stdout.splitlines()] == ["0", "1", "2"]
    assert "3 responses judged by flexible" in result.stderr


def test_a_json_array_of_other_records_is_refused_with_what_they_hold(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text('[{"output": "4", "target": "4"}]')
    with pytest.raises(DataError, match=r"no column 'response' and no column 'gold'; its columns are output, target"):
        assay(tmp_path / "a.json")


def test_lines_that_are_not_utf_8_are_errors_with_file_line_and_byte(answers: Path) -> None:
    """Never read as UTF-16 or skipped; a byte order mark is no part of the text."""
    other = answers.with_name("other.jsonl")
    good = json.dumps({"id": 1, "response": "caf\u00e9 \\boxed{4}", "gold": "4"}, ensure_ascii=False)
    other.write_bytes(b"\xef\xbb\xbf" + good.encode() + b"\n" + good.encode("latin-1") + b"\n" + b"\xff\xfe\x00\n")
    result = assay(answers, other, "--verifier", "strict")
    assert statuses(result.stdout)[5:] == ["correct", "error", "error"]
    details = [json.loads(line)["detail"] for line in result.stdout.splitlines()[6:]]
    assert details[0] == "not a request: byte 27 of the line, 0xe9, is not UTF-8"
    assert "first error: other.jsonl, line 2: not a request: byte 27 of the line, 0xe9, is not UTF-8" in result.stderr


def test_a_file_without_a_line_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    result = assay(tmp_path / "a.jsonl")
    assert (result.stdout, result.stderr) == ("", "there are no responses in it\n")


def test_a_field_may_lie_inside_another_and_a_whole_solution_of_gsm8k_is_its_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    row = {"row": {"answer": "9 + 9 = <<9+9=18>>18\n#### 18"}, "out": ["It is 18."], "full": "so $\\boxed{18}$"}
    path.write_text(json.dumps(row) + "\n")
    assert statuses(assay(path, "--field", "gold=row.answer", "--field", "response=out.0", "-q").stdout) == ["correct"]
    assert statuses(assay(path, "--field", "gold=full|boxed", "--field", "response=out.0", "-q").stdout) == ["correct"]


def sample(response: str, filter_name: str, **doc: Any) -> str:
    """A line as lm_eval 0.4.13 logs it."""
    row = {
        "doc_id": 7, "doc": doc, "target": doc.get("answer", ""), "arguments": {}, "resps": [[response]],
        "filtered_resps": ["?"], "filter": filter_name, "metrics": ["exact_match"], "exact_match": 0.0,
    }  # fmt: skip
    return json.dumps(row) + "\n"


def test_samples_that_lm_eval_logged_are_judged_once_each_with_the_tasks_own_gold(tmp_path: Path) -> None:
    path = tmp_path / "samples_gsm8k.jsonl"
    doc = {"question": "9 + 9?", "answer": "9 + 9 = 18\n#### 18"}
    path.write_text("".join(sample("The answer is 18.", name, **doc) for name in ("strict-match", "flexible-extract")))
    for more in ((), ("--task", REPOSITORY / "configs/tasks/gsm8k.yaml")):
        (verdict,) = map(json.loads, assay(path, *more, "-q").stdout.splitlines())
        assert (verdict["id"], verdict["status"], verdict["extracted"]) == (7, "correct", "18")


def test_a_record_with_a_field_called_filter_is_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"response": "4", "gold": "4", "filter": name}) + "\n" for name in "ab"))
    assert statuses(assay(path, "-q").stdout) == ["correct", "correct"]


def test_a_sample_of_lm_eval_brings_all_that_the_task_needs(tmp_path: Path) -> None:
    path = tmp_path / "samples_aqua.jsonl"
    path.write_text(sample("So it is B.", "none", question="2 + 2?", options=["A)3", "B)4"], correct="B"))
    result = assay(path, "--task", REPOSITORY / "configs/tasks/aqua.yaml", "-q")
    assert statuses(result.stdout) == ["correct"]


def test_a_sample_with_several_responses_asks_which(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    row = json.loads(sample("", "none", answer="4")) | {"resps": [["4", "5"]]}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match=r"with 2 responses; choose one: --field response=resps\.0\.0"):
        assay(path)
    assert statuses(assay(path, "--field", "response=resps.0.1", "-q").stdout) == ["wrong"]


@pytest.mark.parametrize("ending", [b"\n", b"\r\n"])
def test_lines_longer_than_what_is_read_at_once(tmp_path: Path, ending: bytes) -> None:
    path = tmp_path / "long.jsonl"
    rows = [{"id": place, "response": "x" * size, "gold": "1"} for place, size in enumerate([9, 10**6, 0])]
    path.write_bytes(ending.join(json.dumps(row).encode() for row in rows))  # the last line has no end
    found = [json.loads(line) for line in assay(path, "--verifier", "flexible", "-q").stdout.splitlines()]
    assert [(row["id"], row["status"]) for row in found] == [(place, "unparseable") for place in range(3)]
