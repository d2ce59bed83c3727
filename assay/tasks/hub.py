"""Rows of a data set of the Hugging Face hub. `datasets` is imported here alone, and only when a task asks for it."""

from __future__ import annotations

from assay.contracts.errors import DataError
from assay.contracts.task import HubSource
from assay.tasks.files import Row


def read_split(source: HubSource, hub_split: str) -> list[Row]:
    """All rows of one split of the data set.

    Raises:
        DataError: `datasets` is not installed, or the hub has no such data set, configuration, revision or split.
    """
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise DataError("source.kind", "`hub` needs the package `datasets`", "pip install 'assay[eval]'") from error
    try:
        dataset = load_dataset(source.name, source.config, split=hub_split, revision=source.revision)
    except (OSError, ValueError) as error:
        asked = f"{source.name!r} (config {source.config}, revision {source.revision}, split {hub_split!r})"
        remedy = "Check these against the data set's page, and that the hub can be reached"
        raise DataError("source.name", f"could not load {asked}: {error}", remedy) from error
    return [dict(row) for row in dataset]
