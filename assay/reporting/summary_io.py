"""`summary.json` to and from text. The only difference from `Summary` is that `schema_version` is written as `schema`.

Keys keep the order of the contract, arms and metrics the order they were given in; no NaN is ever written, for it is
not JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from assay.contracts.errors import DataError, InvariantError
from assay.contracts.summary import Summary


def summary_json(summary: Summary) -> str:
    """Indented JSON with a final newline. Raises `InvariantError` for a figure that is NaN or infinite."""
    fields = summary.model_dump(mode="python")
    for path, value in _floats(fields, ""):
        if not math.isfinite(value):
            raise InvariantError(f"summary.{path} is {value}; leave out what could not be measured")
    return json.dumps({"schema": fields.pop("schema_version"), **fields}, indent=1, ensure_ascii=False) + "\n"


def load_summary(text: str) -> Summary:
    """The inverse of `summary_json`. Raises `DataError` for text that is not such a summary."""
    try:
        fields = json.loads(text)
        return Summary.model_validate({"schema_version": fields.pop("schema"), **fields})
    except (json.JSONDecodeError, AttributeError, KeyError, TypeError, ValidationError) as error:
        problem = " ".join(str(error).split())
        remedy = "Give a summary.json that `assay` wrote, or run the report stage again"
        raise DataError("summary.json", f"not a summary of schema 1 ({problem})", remedy) from error


def _floats(value: Any, path: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, float):
        yield path, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        yield from _floats(item, f"{path}.{key}" if path else str(key))
