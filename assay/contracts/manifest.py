"""The manifest: the last object a stage writes, and the only proof that the stage happened.

    {root}/{stage}/{key}/…              the files of the stage
    {root}/{stage}/{key}/manifest.json  this, by conditional create: no manifest = the stage did not happen

It names every file with its digest, what the stage measured, what it dropped and what it found odd.
"""

from __future__ import annotations

import json
from typing import Any, Literal, cast

from pydantic import Field, FiniteFloat, field_validator

from assay.contracts.base import Frozen, canonical_json

Severity = Literal["info", "warning", "error"]


class FileEntry(Frozen):
    """One file of an artifact."""

    path: str
    """POSIX path relative to the artifact, for instance `weights/model.safetensors`."""
    size_bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Digest of the content, 64 hexadecimal digits."""


class Finding(Frozen):
    """Something a person should see; it travels from the stage that noticed it into the report."""

    id: str
    """Name of the rule that fired, for instance `kl-spike`."""
    failure: str = Field("", pattern=r"^(F\d{2})?$")
    """The known failure it points at, for instance `F32`; empty when it is none of them."""
    severity: Severity
    where: str
    """What it is about: a file, a step, a problem id, a field."""
    message: str
    """One sentence: what was found, the value, and what to do."""


class Manifest(Frozen):
    """What a stage did, from what, and what it left behind."""

    schema_version: Literal[1] = 1
    """Layout of this file."""
    stage: str
    key: str
    """Content key: digest of everything that decides the result."""
    stage_version: int = Field(ge=1)
    """Version of the stage's meaning; part of the key."""
    spec: dict[str, Any]
    """The resolved stage spec, as JSON holds it (F28): lists for tuples, no NaN or infinity."""
    files: tuple[FileEntry, ...]
    """Every file of the artifact but this one and those under `scratch/`, sorted by path."""
    metrics: dict[str, FiniteFloat] = Field(default_factory=dict)
    """Figures the stage measured; names carry units. What could not be measured is absent, never NaN: JSON has none."""
    dropped: dict[str, int] = Field(default_factory=dict)
    """Reason -> how many were left out for it (F17)."""
    findings: tuple[Finding, ...] = ()
    seconds: float = Field(ge=0)
    """Wall-clock time of the stage, in seconds."""
    started_at: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)$")
    """Start of the stage, ISO 8601 in UTC."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Versions and hardware the stage ran with, for instance `{"python": "3.11.9"}`."""
    assay_version: str

    @field_validator("spec")
    @classmethod
    def _as_json(cls, spec: dict[str, Any]) -> dict[str, Any]:
        return cast(dict[str, Any], json.loads(canonical_json(spec)))
