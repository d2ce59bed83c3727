"""A program, run against the record's tests in a sandbox (`sandbox`, `guest`); never outside of it.

The reference is JSON text, in one of two forms. Optional keys stand in brackets.

    {"tests": ["assert add(1, 2) == 3", …], ["setup": "import math"], …}                     as in MBPP
    {"inputs": [[1, 2], …], "outputs": [3, …], "fn_name": "add", …}                          as in APPS, calls
    {"inputs": ["1 2\\n", …], "outputs": ["3\\n", …], …}                                       as in APPS, programs

    setup      statements before each test: imports that tests need, objects they build
    prelude    statements before the program, in its own process: imports that it may take for granted
    solution   a program that passes; the gold answers of a task check themselves with it

Every test has a process of its own. The program's time, memory and output are part of the question: too much of
them is `wrong`. `error` is a sandbox or a test that is broken, `timeout` a sandbox that gives no result. Standard
library only; hash seeds are fixed, so that the order of a set is the same each time.
"""

from __future__ import annotations

import json
import os
import re
from functools import lru_cache
from typing import Any

from assay.contracts.records import Verdict
from assay.contracts.verifier import CodeVerifier
from assay.verifiers import sandbox
from assay.verifiers.outcome import UNPARSEABLE, scored

VERSION = 1
PARALLEL = os.cpu_count() or 1

_OPENING = re.compile(r"^[ \t]*```[ \t]*+([\w+-]*+)[^\n`]*+$", re.MULTILINE)
_CLOSING = re.compile(r"^[ \t]*```[ \t]*$", re.MULTILINE)
_PYTHON = frozenset({"", "python", "python3", "py", "py3"})
_KEYS = frozenset({"tests", "setup", "prelude", "solution", "inputs", "outputs", "fn_name"})


def judge(spec: CodeVerifier, response: str, reference: str) -> Verdict:
    """The verdict on the program in a response."""
    block = last_block(response)
    program = response if block is None and spec.extract == "any" else block
    if program is None or not program.strip():
        return UNPARSEABLE
    method = "response" if block is None else "fence"
    try:
        results = _results(program, reference, _limits(spec))
    except sandbox.SandboxTimeout as late:
        return Verdict("timeout", 0.0, program, method, str(late))
    passed = [float(ok) for ok, _ in results]
    score = sum(passed) / len(passed) if spec.scope == "share" else float(all(passed))
    parts = {f"test {number}": value for number, value in enumerate(passed, start=1)}
    why = next((f"test {number}: {why}" for number, (ok, why) in enumerate(results, start=1) if not ok), "")
    verdict = scored(score, program, method, why)
    return Verdict(verdict.status, verdict.score, program, method, why, parts=parts)


def echo(spec: CodeVerifier, reference: str) -> str | None:  # noqa: ARG001 (every kind is asked with its options)
    """The solution that the reference brings, if it brings one."""
    solution = json.loads(reference).get("solution")
    return None if solution is None else f"```python\n{solution}\n```"


def ready(spec: CodeVerifier) -> None:  # noqa: ARG001 (likewise)
    """Raises a StageError where there is no sandbox, or it does not hold."""
    sandbox.require()


def last_block(text: str) -> str | None:
    """The last fenced block that is marked as Python or not at all; one that a cut response leaves open counts."""
    found, position = None, 0
    while opening := _OPENING.search(text, position):
        closing = _CLOSING.search(text, opening.end())
        end = closing.start() if closing else len(text)
        if opening[1].lower() in _PYTHON:
            found = text[opening.end() : end].removeprefix("\n")
        position = closing.end() if closing else len(text)
    return found


def _limits(spec: CodeVerifier) -> tuple[tuple[str, float], ...]:
    return (
        ("time_s", spec.time_limit_s),
        ("cpu_s", spec.test_time_limit_s),
        ("memory_bytes", spec.memory_limit_mb * 1024**2),
        ("output_bytes", spec.output_limit_kb * 1024),
    )


@lru_cache(maxsize=1024)
def _results(program: str, reference: str, limits: tuple[tuple[str, float], ...]) -> list[tuple[bool, str]]:
    """Remembered, for the same program is judged under several views."""
    job = read_reference(reference)
    prelude = job.pop("prelude", "")
    text = f"{prelude}\n{program}" if prelude else program
    return sandbox.run({**job, "program": text, "limits": dict(limits)})


def read_reference(reference: str) -> dict[str, Any]:
    """The tests of a reference as a job of `guest.judge`. ValueError: it is of none of the forms above."""
    given = json.loads(reference)
    unknown = set(given) - _KEYS
    if unknown or ("tests" in given) == ("inputs" in given):
        raise ValueError(f"a reference has `tests`, or `inputs` and `outputs`; this one has {sorted(given)}")
    job = {key: given[key] for key in ("setup", "prelude") if given.get(key)}
    if "tests" in given:
        return {**job, "tests": _some(given["tests"])}
    pairs = list(zip(_some(given["inputs"]), given["outputs"], strict=True))
    if given.get("fn_name"):
        return {**job, "calls": pairs, "fn_name": given["fn_name"]}
    return {**job, "runs": [(_lines(text), _lines(expected)) for text, expected in pairs]}


def _some(tests: list[Any]) -> list[Any]:
    if not tests:
        raise ValueError("the reference has no test; a program cannot be judged")
    return tests


def _lines(text: str | list[str]) -> str:
    """APPS writes some inputs and outputs as lists of lines."""
    return text if isinstance(text, str) else "\n".join(map(str, text))
