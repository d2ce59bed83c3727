"""Prompt rows survive Parquet, byte for byte."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.contracts.records import PromptRow
from assay.tasks.tables import read_prompts, write_prompts

ROWS = [
    PromptRow("t/1", "t", "train", "1 + 1? é\u2028", "2", "easy", "Q: 1 + 1?", [5, 0, 151_935]),
    PromptRow("t/2", "t", "heldout", "", "", "", "", []),
]


@pytest.mark.parametrize("rows", [ROWS, []])
def test_rows_come_back_as_they_were(tmp_path: Path, rows: list[PromptRow]) -> None:
    write_prompts(tmp_path / "prompts.parquet", rows)
    assert read_prompts(tmp_path / "prompts.parquet") == rows


def test_equal_rows_are_equal_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_prompts(tmp_path / name, ROWS)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
