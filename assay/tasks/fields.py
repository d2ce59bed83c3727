r"""How a task file names a part of a row.

    Body                      a field
    choices.text.0            something inside it; a step into text reads the text as JSON or as a Python literal
    input_output.fn_name?     null where the row has none
    solution|boxed            the content of the last \boxed{}
    question|strip            without outer white space
    page|0:400                these characters
    truth|instruction_ids     what `rlvr` makes of a constraint of Tülu 3; instruction_kwargs: their arguments

A template is text that holds such names in braces, `{Body} {Question}`; any other brace is text.
"""

from __future__ import annotations

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from assay.contracts.errors import DataError, SpecError
from assay.tasks import rlvr
from assay.verifiers.extract import boxed

_PLACE = re.compile(r"\{(\w[\w.]*\??(?:\|[\w:]+)?)\}")
_INSTRUCTIONS = {"instruction_ids": 0, "instruction_kwargs": 1}
_SLICE = re.compile(r"(\d*):(\d*)")


class Row(NamedTuple):
    """One record of a data file."""

    place: str
    """File and line, for messages."""
    fields: Mapping[str, Any]


def value_at(row: Row, name: str) -> Any:
    """What `name` names in the row.

    Raises:
        DataError: the row lacks it, or a filter finds nothing in it.
        SpecError: there is no such filter.
    """
    path, _, filter_name = name.partition("|")
    value: Any = row.fields
    for step in path.removesuffix("?").split("."):
        value = _step(value, step)
    value = None if _is_nothing(value) else value
    if value is None and not path.endswith("?"):
        remedy = f"Name another field in the task's source, or mend the data; the row has: {', '.join(row.fields)}"
        raise DataError(row.place, f"field {path!r} is missing or null", remedy)
    return value if value is None or not filter_name else _filtered(value, filter_name, row.place)


def is_blank(row: Row, name: str) -> bool:
    """Whether the row has the field and there is nothing in it: no misspelt name, a gap in the data."""
    first = name.partition("|")[0].partition(".")[0]
    return first in row.fields and (_is_nothing(row.fields[first]) or not str(row.fields[first]).strip())


def first_present(row: Row, names: str | Sequence[str]) -> str:
    """The first of the names, or templates, whose every field the row has; the first of all where none has."""
    listed = (names,) if isinstance(names, str) else names
    return next((name for name in listed if all(_has(row, part) for part in _parts(name))), listed[0])


def text_of(row: Row, name_or_template: str) -> str:
    """A field as text, or a template filled in."""
    if "{" in name_or_template:
        return fill(name_or_template, row)
    return as_text(value_at(row, name_or_template))


def fill(template: str, row: Row) -> str:
    """The template with every name in braces replaced by what it names."""
    return _PLACE.sub(lambda match: as_text(value_at(row, match[1])), template)


def as_text(value: Any) -> str:
    """A JSON value as a person would write it: 51.0 is `51`, null is nothing."""
    if value is None:
        return ""
    whole = isinstance(value, float) and value.is_integer()
    return str(int(value)) if whole else str(value)


def _is_nothing(value: Any) -> bool:
    """Null; or NaN, as which pandas writes a gap among numbers."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _parts(name: str) -> list[str]:
    return _PLACE.findall(name) if "{" in name else [name]


def _has(row: Row, name: str) -> bool:
    return row.fields.get(name.partition("|")[0].partition(".")[0]) is not None


def _step(value: Any, step: str) -> Any:
    """One step of a path; None where it leads nowhere."""
    inside = _parsed(value) if isinstance(value, str) else value
    if isinstance(inside, Mapping):
        return inside.get(step)
    if isinstance(inside, list | tuple) and step.isdigit() and int(step) < len(inside):
        return inside[int(step)]
    return None


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # not JSON, or a number of over 4,300 digits
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None


def _filtered(value: Any, name: str, place: str) -> Any:
    text = as_text(value)
    if name == "strip":
        return text.strip()
    if name == "boxed":
        return _boxed(text, place)
    if name in _INSTRUCTIONS:
        return _instructions(text, _INSTRUCTIONS[name], place)
    if cut := _SLICE.fullmatch(name):
        return text[int(cut[1] or 0) : int(cut[2]) if cut[2] else None]
    raise SpecError("source", f"there is no filter {name!r}", "Use strip, boxed, or characters such as 0:400")


def _instructions(text: str, part: int, place: str) -> list[Any] | None:
    try:
        found = rlvr.instructions(_parsed(text) or {})
    except KeyError as error:
        problem = f"{text[:80]!r} is no constraint of Tülu 3: {error} is not known"
        raise DataError(place, problem, "Name another filter, or mend the row") from error
    return None if found is None else [instruction[part] for instruction in found]


def _boxed(text: str, place: str) -> str:
    content = boxed(text)
    if content is None:
        raise DataError(place, f"there is no \\boxed{{}} in {text[-60:]!r}", "Mend the row, or name it in known_bad")
    return content
