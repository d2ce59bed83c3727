"""From a task's source to problems: canonical id, question text, gold answer, level.

Gold answers are tidied only where no meaning can change: outer white space goes, `1,080` becomes `1080`, and a JSON
number that is whole loses its `.0` (SVAMP writes 51.0). All else is for the verifier to judge.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from typing import Any, Literal

from assay.contracts.errors import DataError
from assay.contracts.records import Problem
from assay.contracts.task import ArithmeticSource, FileSource, HubSource, Source
from assay.tasks.arithmetic import generate
from assay.tasks.files import Row, file_digest, locate, read_rows
from assay.tasks.hub import read_split
from assay.tasks.ids import canonical_id, require_unique

Pool = Literal["train", "heldout"]
"""What a source offers; the validation split is cut from `train`."""
TableSource = FileSource | HubSource

NO_LEVEL = "all"
"""Level of every problem of a source that names no level field."""

FIELD = re.compile(r"\{(\w+)\}")
THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def load_problems(source: Source, task: str, split: Pool, count: int) -> tuple[list[Problem], dict[str, int]]:
    """All that a file or hub split holds, or the first `count` of a generated stream; and what was dropped, by reason.

    Rows without a gold answer (null or blank) cannot be scored: they are dropped and counted as `no_gold_SPLIT`.
    Rows of one question under a digest id may repeat; `assay.tasks.splits` drops the repetitions.

    Raises:
        DataError: a file, variable, field or marker is missing, or two rows carry one id.
    """
    if isinstance(source, ArithmeticSource):
        return generate(source, task, split, count), {}
    where, rows = _table(source, split)
    scorable = [(number, row) for number, row in enumerate(rows, start=1) if not _blank(row, source.answer)]
    problems = [_problem(source, task, row, f"{where}: row {number}") for number, row in scorable]
    if source.id is not None:
        require_unique((problem.id for problem in problems), where)
    missing = len(rows) - len(problems)
    return problems, {f"no_gold_{split}": missing} if missing else {}


def data_digests(source: Source) -> dict[str, str]:
    """Identity of the data that the spec only names: path as declared -> sha256. (A hub revision is in the spec.)"""
    if not isinstance(source, FileSource):
        return {}
    declared = {"source.train": source.train, "source.heldout": source.heldout}
    return {path: file_digest(locate(path, field)) for field, path in declared.items() if path is not None}


def normalised_question(question: str) -> str:
    """Equal for two questions that differ in white space, case or Unicode composition alone."""
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())


def _table(source: TableSource, split: Pool) -> tuple[str, list[Row]]:
    """Where the rows are from, for messages, and the rows."""
    name = source.heldout if split == "heldout" else source.train
    if name is None:
        raise DataError(f"source.{split}", "the source has no file for it", "Cut the split from `train`")
    if isinstance(source, FileSource):
        path = locate(name, f"source.{split}")
        return str(path), read_rows(path)
    return f"{source.name}[{name}]", read_split(source, name)


def _problem(source: TableSource, task: str, row: Row, where: str) -> Problem:
    question = FIELD.sub(lambda match: str(_field(row, match[1], where)), source.question).strip()
    raw_id = _question_digest(question) if source.id is None else _as_text(_field(row, source.id, where))
    return Problem(
        id=canonical_id(task, raw_id),
        task=task,
        question=question,
        gold=_gold(_field(row, source.answer, where), source.answer_after, where),
        level=_level(row, source.level, where),
    )


def _level(row: Row, fields: str | tuple[str, ...] | None, where: str) -> str:
    if fields is None:
        return NO_LEVEL
    named = (fields,) if isinstance(fields, str) else fields
    present = next((name for name in named if row.get(name) is not None), named[0])
    return _as_text(_field(row, present, where))


def _blank(row: Row, answer: str) -> bool:
    return answer in row and (row[answer] is None or not str(row[answer]).strip())


def _field(row: Row, name: str, where: str) -> Any:
    if row.get(name) is None:
        remedy = f"Name another field in the task's source, or mend the data; the row has: {', '.join(row)}"
        raise DataError(where, f"field {name!r} is missing or null", remedy)
    return row[name]


def _question_digest(question: str) -> str:
    return hashlib.sha256(normalised_question(question).encode()).hexdigest()[:16]


def _gold(value: Any, answer_after: str | None, where: str) -> str:
    text = _as_text(value)
    if answer_after is not None:
        _, marker, text = text.rpartition(answer_after)
        if not marker:
            problem = f"the answer holds no {answer_after!r}: {str(value)[-60:]!r}"
            raise DataError(where, problem, "Correct `answer_after` in the task's source, or mend the row")
    text = text.strip()
    return text.replace(",", "") if THOUSANDS.fullmatch(text) else text


def _as_text(value: Any) -> str:
    """A JSON value as a person would write it: 51.0 is `51`."""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)
