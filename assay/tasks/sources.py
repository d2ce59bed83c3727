"""From a task's source to problems: canonical id, question text, gold answer, level, subject.

Gold answers are tidied only where no meaning can change: outer white space goes, `1,080` becomes `1080`, and a JSON
number that is whole loses its `.0` (SVAMP writes 51.0). All else is for the verifier to judge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Literal

from assay.contracts.base import canonical_json
from assay.contracts.errors import DataError
from assay.contracts.records import Problem
from assay.contracts.task import ArithmeticSource, FileSource, HubSource, ReasoningGymSource, Source
from assay.tasks import arithmetic, choices, reasoning_gym
from assay.tasks.fields import Row, as_text, fill, first_present, is_blank, text_of, value_at
from assay.tasks.files import file_digest, locate, read_rows
from assay.tasks.hub import read_split, rows_digest
from assay.tasks.ids import canonical_id, question_digest

Pool = Literal["train", "heldout"]
"""What a source offers; the validation split is cut from `train`."""
TableSource = FileSource | HubSource

NO_LEVEL = "all"
"""Level of every problem of a source that names no level field."""

THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")


def load_problems(source: Source, task: str, split: Pool, count: int) -> list[Problem]:
    """All that a file or hub split holds, in its order, or the first `count` of a generated stream.

    Rows without a gold answer (null or blank) have the gold answer "". Rows of one question under a digest id may
    repeat. `assay.tasks.splits` drops both, and counts them.

    Raises:
        DataError: a file, variable, field or marker is missing, the data is not what its digest says, or two rows carry
            one id.
    """
    if isinstance(source, ArithmeticSource):
        return arithmetic.generate(source, task, split, count)
    if isinstance(source, ReasoningGymSource):
        return reasoning_gym.generate(source, task, split, count)
    found = [
        (row, _problem(source, task, row, numbers)) for row, numbers in _numbered(source, read_table(source, split))
    ]
    if source.id is not None:
        _require_own_ids(found)
    return [problem for _, problem in found]


def read_table(source: TableSource, split: Pool) -> list[Row]:
    """The rows of a split that belong to the task, unread. Raises DataError where the digest is another."""
    name, wanted = getattr(source, split), getattr(source.digest, split)
    if name is None:
        raise DataError(f"source.{split}", "the source has no file for it", "Cut the split from `train`")
    if isinstance(source, FileSource):
        path = locate(name, f"source.{split}")
        _require_digest(source, split, wanted and file_digest(path))
        rows = read_rows(path)
    else:
        rows = read_split(source, name)
        _require_digest(source, split, wanted and rows_digest(rows))
    return [row for row in rows if all(text_of(row, field) == value for field, value in source.only.items())]


def data_digests(source: Source) -> dict[str, str]:
    """Identity of the data that the spec only names: path as declared -> sha256. (A hub revision is in the spec.)"""
    if not isinstance(source, FileSource):
        return {}
    declared = {"source.train": source.train, "source.heldout": source.heldout}
    return {path: file_digest(locate(path, field)) for field, path in declared.items() if path is not None}


def moving_digests(source: Source) -> dict[str, str]:
    """Split -> sha256 of its rows as they are today, for data of the hub that may be others tomorrow."""
    if not isinstance(source, HubSource):
        return {}
    return {split: rows_digest(read_split(source, getattr(source, split))) for split in source.moving}


def question_of(source: TableSource, row: Row) -> str:
    """The text of a row's question, its options included."""
    if source.choices is None:
        return fill(source.question, row)
    lines = choices.shown(source.choices, choices.options(source.choices, row))
    return fill(source.question, Row(row.place, {**row.fields, "choices": lines}))


def _require_own_ids(found: Iterable[tuple[Row, Problem]]) -> None:
    """Raises DataError where two rows carry one id, which would be one problem to every table downstream."""
    places: dict[str, str] = {}
    for row, problem in found:
        first = places.setdefault(problem.id, row.place)
        if first != row.place:
            remedy = (
                "Make the ids differ in letters or digits (case, spaces and signs do not count), or name no id field"
            )
            raise DataError(row.place, f"the id {problem.id!r} is that of {first} too", remedy)


def _require_digest(source: TableSource, split: Pool, found: str | None) -> None:
    wanted = getattr(source.digest, split)
    if found != wanted:
        problem = f"the data has the digest {found}, and {wanted} is declared"
        remedy = "Get the data that was declared, or write the new digest there if the change is meant"
        raise DataError(f"source.digest.{split}", problem, remedy)


def _numbered(source: TableSource, rows: list[Row]) -> Iterator[tuple[Row, dict[str, int]]]:
    """Every row with the numbers that an id may use: its own, and the one among the rows of its subject."""
    seen: Counter[str] = Counter()
    for number, row in enumerate(rows):
        subject = _subject(source, row)
        yield row, {"row": number, "row_of_subject": seen[subject]}
        seen[subject] += 1


def _problem(source: TableSource, task: str, row: Row, numbers: dict[str, int]) -> Problem:
    question = question_of(source, row)
    return Problem(
        id=canonical_id(task, _raw_id(source, row, numbers, question)),
        task=task,
        question=question,
        gold=gold_of(source, row),
        level=NO_LEVEL if source.level is None else text_of(row, first_present(row, source.level)),
        subject=_subject(source, row),
    )


def _subject(source: TableSource, row: Row) -> str:
    return "" if source.subject is None else text_of(row, first_present(row, source.subject))


def _raw_id(source: TableSource, row: Row, numbers: dict[str, int], question: str) -> str:
    if source.id is None:
        return question_digest(question)
    numbered = Row(row.place, numbers | dict(row.fields))
    return text_of(numbered, first_present(numbered, source.id))


def gold_of(source: TableSource, row: Row) -> str:
    """The gold answer of a row; "" where the data has none."""
    if isinstance(source.answer, dict):
        return _object(source.answer, row)
    if is_blank(row, source.answer):
        return ""
    if source.choices is not None:
        return choices.gold(source.choices, row, value_at(row, source.answer))
    text = _between(source, as_text(value_at(row, source.answer)), row.place).strip()
    return text.replace(",", "") if THOUSANDS.fullmatch(text) else text


def _object(fields: dict[str, str], row: Row) -> str:
    """The fields as JSON text; "" where one of them is blank that may not be."""
    constants = {key: name[1:] for key, name in fields.items() if name.startswith("=")}
    named = {key: name for key, name in fields.items() if key not in constants}
    needed = [name for name in named.values() if not name.endswith("?")]
    if any(is_blank(row, name) or value_at(row, name) is None for name in needed):
        return ""
    return canonical_json({key: value_at(row, name) for key, name in named.items()} | constants)


def _between(source: TableSource, text: str, place: str) -> str:
    """What stands after the last `answer_after` and before the first `answer_before` that follows."""
    if source.answer_after is not None:
        before, marker, text = text.rpartition(source.answer_after)
        if not marker:
            problem = f"the answer holds no {source.answer_after!r}: {(before + text)[-60:]!r}"
            raise DataError(place, problem, "Correct `answer_after` in the task's source, or mend the row")
    return text if source.answer_before is None else text.partition(source.answer_before)[0]
