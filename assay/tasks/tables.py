"""Prompt rows as Parquet: one row a prompt, one column a field, equal bytes for equal rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from assay.contracts.records import PromptRow

PROMPTS = pa.schema(
    [
        *((name, pa.string()) for name in ("id", "task", "split", "question", "gold", "level", "prompt")),
        ("prompt_tokens", pa.list_(pa.int32())),
    ]
)


def write_prompts(path: Path, rows: Sequence[PromptRow]) -> None:
    """Write the rows in their order."""
    table = pa.Table.from_pylist([asdict(row) for row in rows], schema=PROMPTS)
    pq.write_table(table, path, compression="zstd")


def read_prompts(path: Path) -> list[PromptRow]:
    """The rows as they were written."""
    return [PromptRow(**row) for row in pq.read_table(path).to_pylist()]
