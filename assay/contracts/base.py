"""The pydantic base of every contract: frozen, strict about unknown keys, serialised to one canonical form."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from pydantic import BaseModel, ConfigDict


class _NotIdentity:
    """Marks a field that says where something lies or how people call it, not what it is."""


NOT_IDENTITY = _NotIdentity()
"""Use as `Annotated[str, NOT_IDENTITY]`: the field stays out of every content key."""


class Frozen(BaseModel):
    """Immutable; unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True)


def canonical_json(value: Any) -> str:
    """One spelling per value: sorted keys, no spaces, UTF-8 kept. The input of every digest."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """sha256 of the canonical JSON, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def identity(value: Any) -> Any:
    """The value as plain data without the fields marked `NOT_IDENTITY`, at any depth: the input of content keys."""
    if isinstance(value, Frozen):
        fields = type(value).model_fields
        return {name: identity(getattr(value, name)) for name in fields if NOT_IDENTITY not in fields[name].metadata}
    if isinstance(value, dict):
        return {str(key): identity(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    return value
