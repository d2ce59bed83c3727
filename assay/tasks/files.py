"""Rows of a JSON, JSON-lines, CSV or Parquet file, and where such a file is.

${ASSAY_DATA}/svamp/SVAMP.json    `${VAR}` is read from the environment when the file is opened, never before,
                                  so that a spec (and its content key) is the same on every machine
s3://bucket/gsm8k/train.jsonl     fetched once, and kept
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from assay.contracts.errors import DataError
from assay.storage import fetch_uri
from assay.tasks.fields import Row
from assay.tasks.ids import listed

VARIABLE = re.compile(r"\$\{(\w+)\}")


def locate(declared: str, field: str) -> Path:
    """The file that `declared` names, fetched if it is a URI; `field` is the task's field, for the message.

    Raises:
        DataError: an environment variable is not set, or the file is not there.
    """
    path = fetch_uri(VARIABLE.sub(lambda match: _variable(match[1], declared, field), declared)).expanduser()
    if not path.is_file():
        shown = f"{declared!r}" if str(path) == declared else f"{declared!r}, which is {str(path)!r},"
        raise DataError(field, f"{shown} is not a file", "Correct the path or put the data there")
    return path


def _variable(name: str, declared: str, field: str) -> str:
    value = os.environ.get(name)
    if not value:
        problem = f"{declared!r} needs the environment variable {name}, which is not set"
        raise DataError(field, problem, f"Set it to the directory that holds the data: export {name}=…")
    return value


def read_rows(path: Path) -> list[Row]:
    """The records of a file, each with its place; the extension says how to read it.

    Raises:
        DataError: another extension, no rows, or a malformed one (with its line).
    """
    if path.suffix not in _READERS:
        known = ", ".join(_READERS)
        raise DataError(str(path), f"extension {path.suffix!r} is not known", f"Use one of {known}")
    rows = list(_READERS[path.suffix](path))
    if not rows:
        raise DataError(str(path), "there are no rows in it", "Give a file with a row at least")
    return rows


def _json(path: Path) -> Iterator[Row]:
    content = _parsed(_text(path), str(path))
    if not isinstance(content, list):
        raise DataError(str(path), "there is no array of rows in it", "Give a JSON array of objects")
    for number, row in enumerate(content, start=1):
        yield _object(row, f"{path}: row {number}")


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if line.strip():
            yield _object(_parsed(line, f"{path}:{number}"), f"{path}:{number}")


def _csv(path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        if twice := [name for name, times in Counter(header).items() if times > 1]:
            raise DataError(f"{path}:1", f"{len(twice)} columns share a name: {listed(twice)}", "Rename them")
        yield from (_record(header, values, f"{path}:{reader.line_num}") for values in reader if values)
    except csv.Error as error:
        raise DataError(f"{path}:{reader.line_num}", f"not CSV: {error}", "Mend the line") from error


def _record(header: list[str], values: list[str], place: str) -> Row:
    if len(values) != len(header):
        problem = f"{len(values)} values under {len(header)} columns"
        raise DataError(place, problem, "Mend the line; put values that hold a comma or a quote in quotes")
    return Row(place, dict(zip(header, values, strict=True)))


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        rows = pq.read_table(path).to_pylist()
    except pa.ArrowInvalid as error:
        raise DataError(str(path), f"not a Parquet file: {error}", "Write the file again") from error
    yield from (Row(f"{path}: row {number}", row) for number, row in enumerate(rows, start=1))


_READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    ".json": _json,
    ".jsonl": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        problem = f"not UTF-8 text: the byte {content[error.start]:#x}"
        raise DataError(f"{path}:{line}", problem, "Convert the file to UTF-8") from error


def _object(row: Any, place: str) -> Row:
    if not isinstance(row, dict):
        raise DataError(place, f"{row!r:.80} is not an object", "Make every row an object")
    return Row(place, row)


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DataError(where, f"not JSON: {error}", "Mend the line, or write the file again") from error


def file_digest(path: Path) -> str:
    """sha256 of the file's bytes, 64 hexadecimal digits."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
