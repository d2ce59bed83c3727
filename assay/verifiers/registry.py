"""The module that judges for each kind of verifier, loaded when it is first asked.

A kind is a module with

    VERSION               bumped whenever a verdict may change; scores are comparable within a version
    PARALLEL              how many responses may be judged at once; 1 for what only computes
    judge(spec, response, reference)   a verdict, or a question for a worker; pure
    echo(spec, reference)              a response that gives the gold answer back, or None where none can be written
    ready(spec)                        raises an AssayError when this machine cannot judge, and says what to do

and its options are a class of `assay.contracts.verifier`. `reference` is the record's gold answer; where a verifier
needs more than an answer (instructions, tests) it is JSON text, whose form the module's docstring gives.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from time import perf_counter
from typing import Any, Protocol, cast

from assay.contracts.errors import AssayError
from assay.contracts.records import Verdict
from assay.contracts.verifier import Verifier
from assay.verifiers.outcome import UNPARSEABLE, Question

KINDS: Mapping[str, str] = {
    "math": "maths",
    "gsm8k": "gsm8k",
    "choice": "choice",
    "instructions": "instructions",
    "code": "code",
    "judge": "endpoint",
}
"""Kind -> its module in this room."""
LONGEST_CHARS = 1_000_000
"""Longer responses are not read: no token budget reaches this, and what reads them takes time by their length."""


class Kind(Protocol):
    """What the module of a kind offers."""

    VERSION: int
    PARALLEL: int

    def judge(self, spec: Any, response: str, reference: str) -> Verdict | Question:
        """The verdict on a response, or what a worker must answer first."""
        ...

    def echo(self, spec: Any, reference: str) -> str | None:
        """A response that gives the gold answer back."""
        ...

    def ready(self, spec: Any) -> None:
        """Raises an AssayError when this machine cannot judge."""
        ...


def kind_of(verifier: Verifier) -> Kind:
    """The module that judges for a verifier."""
    return _module(verifier.kind)


@cache
def _module(kind: str) -> Kind:
    return cast(Kind, importlib.import_module(f"assay.verifiers.{KINDS[kind]}"))


def version_of(verifier: Verifier) -> int:
    """Scores of a verifier are comparable within this version."""
    return kind_of(verifier).VERSION


def judge(verifier: Verifier, response: str, reference: str) -> Verdict | Question:
    """The verdict on one response, with version and duration. What raises is an `error`, never `wrong` (F19)."""
    kind, started = kind_of(verifier), perf_counter()
    try:
        outcome = _too_long(response) or kind.judge(verifier, response, reference)
    except AssayError:
        raise
    except Exception as problem:  # noqa: BLE001 (the boundary of F19: the verifier failed, not the answer)
        outcome = Verdict("error", 0.0, detail=f"{type(problem).__name__}: {problem}"[:500])
    if isinstance(outcome, Question):
        return outcome
    return replace(outcome, version=kind.VERSION, seconds=perf_counter() - started)


def _too_long(response: str) -> Verdict | None:
    if len(response) <= LONGEST_CHARS:
        return None
    detail = f"the response has {len(response):,} characters; over {LONGEST_CHARS:,} are not read"
    return replace(UNPARSEABLE, detail=detail)
