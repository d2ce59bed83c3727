"""What docs/explanation/choice-and-code.md says that each mode reads, cell by cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from assay.contracts.verifier import ChoiceVerifier, Gsm8kVerifier
from assay.verifiers import choice, gsm8k

PAGE = (Path(__file__).parents[3] / "docs" / "explanation" / "choice-and-code.md").read_text()
CODE = re.compile(r"`([^`]*)`")
NOTHING = "–"


def cells(heading: str) -> list[tuple[str, str, str | None]]:
    """(mode, response, what is read) of the table below a heading."""
    section = PAGE[PAGE.index(heading) :]
    header, _, *rows = section[section.index("| response |") :].split("\n\n", 1)[0].splitlines()
    modes = CODE.findall(header)
    return [
        (mode, response, None if cell.strip() == NOTHING else cell.strip().strip("*"))
        for row in rows
        for first, *rest in [row.strip().strip("|").split("|")]
        for mode, cell in zip(modes, rest, strict=True)
        for response in CODE.findall(first)
    ]


@pytest.mark.parametrize(("mode", "response", "wanted"), cells("## `gsm8k`"))
def test_every_mode_of_gsm8k_reads_what_the_page_says(mode: str, response: str, wanted: str | None) -> None:
    assert gsm8k.judge(Gsm8kVerifier(mode=mode), response, "18").extracted == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize(("mode", "response", "wanted"), cells("## `choice`"))
def test_every_mode_of_choice_reads_what_the_page_says(mode: str, response: str, wanted: str | None) -> None:
    assert choice.judge(ChoiceVerifier(mode=mode), response, "B").extracted == wanted  # type: ignore[arg-type]


def test_the_tables_were_read() -> None:
    assert {mode for mode, *_ in cells("## `gsm8k`")} == set(gsm8k._ECHOES)
    assert len(cells("## `choice`")) == 26
