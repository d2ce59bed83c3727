"""Responses to judge, out of JSON, JSON lines, CSV or Parquet, in batches that are as large as what is there to read.

A record that cannot be read is a `Request` with a `problem`, so that it gets its verdict in its place. A pipe is never
waited for to fill a batch: whoever writes one line and then reads gets its verdict.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import stat
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar, cast

from assay.cli import samples
from assay.contracts.errors import DataError
from assay.contracts.task import TaskSpec
from assay.tasks.fields import Row, value_at
from assay.tasks.files import read_rows

Item = TypeVar("Item")

STDIN = "-"
FIELDS = ("id", "task", "response", "gold")
_NEEDED = ("response", "gold")
_CHUNK_BYTES = 256 * 1024
_BATCH = 256
"""Requests of one batch, at most: progress moves and verdicts come out that often."""


_MARKED = re.compile(r"\A.*####[ \t]*(\S[^\n]*)\s*\Z", re.DOTALL)
"""A whole solution of GSM8K, which ends in `#### 18`: 18 is the answer."""


class Stream(Protocol):
    """A buffered file or pipe."""

    def read1(self, size: int, /) -> bytes:
        """What is there, waiting only when nothing is; empty at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Request:
    """A response and its gold answer; or why a record is none."""

    id: Any
    place: str
    """`line 17` of its file."""
    file: str
    task: str | None
    response: str
    gold: str
    problem: str = ""
    filter: str = ""
    """Of a sample that lm_eval logged, the filter that its line is about."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests in order, and how many bytes of their file they are."""

    requests: list[Request]
    size_bytes: float


@dataclass(frozen=True, slots=True)
class Source:
    """A file of responses, or standard input; `fields` maps what is wanted to what a record calls it.

    `task` reads the gold answers of samples that lm_eval logged.
    """

    name: str
    fields: Mapping[str, str]
    task: TaskSpec | None = None

    @property
    def size_bytes(self) -> int | None:
        """None of a pipe, and of what is compressed."""
        if self.name.endswith(".gz"):
            return None
        status = os.fstat(sys.stdin.fileno()) if self.name == STDIN else Path(self.name).stat()
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def batches(self) -> Iterator[Batch]:
        """All requests, a batch at a time; of lm_eval's samples, those of the first filter."""
        first = ""
        for batch in self._all():
            first = first or next((request.filter for request in batch.requests if request.filter), "")
            yield Batch([request for request in batch.requests if request.filter in ("", first)], batch.size_bytes)

    def _all(self) -> Iterator[Batch]:
        path = Path(self.name)
        if self.name == STDIN:
            yield from self._of_lines(cast(Stream, sys.stdin.buffer))
        elif path.suffix == ".parquet":
            yield from self._of_table()
        elif path.suffix == ".csv" or (path.suffix == ".json" and _is_array(path)):
            yield from self._of_rows(read_rows(path))
        else:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
                yield from self._of_lines(cast(Stream, stream))

    def _of_lines(self, stream: Stream) -> Iterator[Batch]:
        numbered = 0
        for lines in _available(stream):
            for part in parts(lines, _BATCH):
                places = enumerate(part, numbered + 1)
                requests = [self._parsed(line, f"line {number}") for number, line in places if line.strip()]
                numbered += len(part)
                yield Batch(requests, sum(map(len, part)) + len(part))

    def _of_rows(self, rows: Sequence[Row]) -> Iterator[Batch]:
        self._require(rows[0].fields.keys())
        row_bytes, numbered = Path(self.name).stat().st_size / len(rows), 0
        for part in parts(rows, _BATCH):
            requests = [self._request(row.fields, f"row {number}") for number, row in enumerate(part, numbered + 1)]
            numbered += len(part)
            yield Batch(requests, row_bytes * len(part))

    def _of_table(self) -> Iterator[Batch]:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            table = pq.ParquetFile(self.name)
        except pa.ArrowInvalid as error:
            raise DataError(self.name, f"is no Parquet file ({error})", "Give JSON lines another ending") from error
        found = table.schema_arrow.names
        self._require(found)
        columns = [name for name in found if name in self._firsts or name in samples.COLUMNS]
        row_bytes = Path(self.name).stat().st_size / max(1, table.metadata.num_rows)
        numbered = 0
        for part in table.iter_batches(_BATCH, columns=columns):
            rows = enumerate(part.to_pylist(), numbered + 1)
            requests = [self._request(row, f"row {number}") for number, row in rows]
            numbered += len(requests)
            yield Batch(requests, row_bytes * len(requests))

    @property
    def _firsts(self) -> set[str]:
        """The fields that a record must have for what is wanted to be found: of `doc.answer`, both it and `doc`."""
        return {part for name in self.fields.values() for part in (name, _first(name))}

    def _require(self, found: Collection[str]) -> None:
        wanted = [self.fields[field] for field in _NEEDED]
        lacking = [name for name in wanted if name not in found and _first(name) not in found]
        if lacking and not samples.is_sample(found):
            raise DataError(
                self.name,
                f"has no column {' and no column '.join(map(repr, lacking))}; its columns are {', '.join(found)}",
                f"Say which it is, for instance --field {_NEEDED[0]}={next(iter(found), 'output')}",
            )

    def _parsed(self, line: bytes, place: str) -> Request:
        try:
            return self._request(json.loads(line.decode("utf-8-sig")), place)
        except UnicodeDecodeError as error:
            return self._broken(
                None, place, f"byte {error.start + 1} of the line, {line[error.start]:#x}, is not UTF-8"
            )
        except (ValueError, RecursionError) as error:
            return self._broken(None, place, str(error))

    def _request(self, row: Any, place: str) -> Request:
        if not isinstance(row, Mapping):
            return self._broken(None, place, f"a JSON {type(row).__name__} where an object must stand")
        try:
            found = self._found(row)
        except (ValueError, DataError) as error:
            return self._broken(row.get("doc_id"), place, str(error))
        lacking = [self.fields[field] for field in _NEEDED if found[field] is None]
        if lacking:
            problem = f"no {' and no '.join(map(repr, lacking))} among {', '.join(row)}; --field says what is what"
            return self._broken(found["id"], place, problem)
        task = None if found["task"] is None else str(found["task"])
        response, gold = (_text(found[field]) for field in _NEEDED)
        gold = gold if gold.startswith("{") else _MARKED.sub(r"\1", gold)
        of_filter = str(row.get("filter", "")) if samples.is_sample(row) else ""
        return Request(found["id"], place, self.name, task, response, gold, filter=of_filter)

    def _found(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """What the record has of each field, None where nothing."""
        named = {field: _at(row, name) for field, name in self.fields.items()}
        if not samples.is_sample(row):
            return named
        logged = samples.fields_of(row, self.task, named["response"])
        return logged | {field: value for field, value in named.items() if value is not None}

    def _broken(self, identity: Any, place: str, problem: str) -> Request:
        return Request(identity, place, self.name, None, "", "", f"not a request: {problem[:300]}")


def _first(name: str) -> str:
    return name.partition("|")[0].partition(".")[0]


def _at(row: Mapping[str, Any], name: str) -> Any:
    """The field of that name; or what `name` names as a task file would, `doc.answer` or `solution|boxed`."""
    path, bar, filter_name = name.partition("|")
    return row[name] if name in row else value_at(Row("", row), f"{path}?{bar}{filter_name}")


def _is_array(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def parts(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    """The items in order, `size` of them at a time."""
    return (items[start : start + size] for start in range(0, len(items), max(1, size)))


def _text(value: Any) -> str:
    """Text as it is; a number, a list of tests or of instructions as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _available(stream: Stream) -> Iterator[list[bytes]]:
    """The whole lines of everything that can be read without waiting for more."""
    begun: list[bytes] = []
    while chunk := stream.read1(_CHUNK_BYTES):
        end, *lines = chunk.split(b"\n")
        begun.append(end)
        if lines:
            yield [b"".join(begun), *lines[:-1]]
            begun = [lines[-1]]
    if any(begun):
        yield [b"".join(begun)]
