"""What docs/explanation/verifiers.md says of modes and policies, row by row."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.verifier import MathVerifier
from assay.verifiers import comparison, extract

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "verifiers.md").read_text()
CODE = re.compile(r"`([^`]*)`")
VALUES: dict[str, Any] = {"null": None, "6": 6, "2": 2}


def rows(columns: str) -> list[list[str]]:
    table = PAGE[PAGE.index(columns) :].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]


EXTRACTION = [
    (CODE.findall(mode)[0], CODE.findall(response)[0].replace("\\n", "\n"), (CODE.findall(answer) or [None])[0])
    for mode, _, response, answer in rows("| mode | reads")
]


@pytest.mark.parametrize(("mode", "response", "answer"), EXTRACTION)
def test_every_mode_reads_its_examples_as_documented(mode: str, response: str, answer: str | None) -> None:
    found = extract.find(mode, response)
    assert (found.text if found else None) == answer


def policies() -> list[tuple[dict[str, Any], str, str, bool]]:
    found, option = [], ""
    for name, value, same, other in rows("| option | value"):
        option = (CODE.findall(name) or ["" if name else option])[0]
        chosen = {option: VALUES.get(CODE.findall(value)[0], CODE.findall(value)[0])} if option else {}
        for cell, label in ((same, True), (other, False)):
            sides = CODE.findall(cell)
            found += [(chosen, a, b, label) for a, b in zip(sides[::2], sides[1::2], strict=True)]
    return found


@pytest.mark.parametrize(("options", "a", "b", "same"), policies())
def test_every_policy_decides_its_examples_as_documented(options: dict[str, Any], a: str, b: str, same: bool) -> None:
    assert comparison.equivalent(a, b, MathVerifier(**options)) is same
    assert comparison.equivalent(b, a, MathVerifier(**options)) is same


def test_the_tables_were_read() -> None:
    assert len(EXTRACTION) == 13
    assert len(policies()) > 70
    assert {name for options, *_ in policies() for name in options} == {
        "percent", "units", "bases", "lists", "logs", "decimal_places",
    }  # fmt: skip
