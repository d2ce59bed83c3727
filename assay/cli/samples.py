"""Samples that lm_eval logged (`--log_samples`): the response, and the gold answer as a task reads it from the row.

lm_eval writes a line for each question and filter, so with two filters every response stands there twice.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from assay.contracts.task import FileSource, HubSource, TaskSpec
from assay.tasks.fields import Row
from assay.tasks.sources import gold_of

COLUMNS = ("doc", "doc_id", "resps", "target", "filter")
_MARKS = ("doc", "resps", "target")
_OWN = frozenset({"id", "prompt", "gold"})
"""Fields of a document of a task file that Assay wrote."""


def is_sample(names: Collection[str]) -> bool:
    """Whether a record with these fields is one that lm_eval wrote."""
    return all(name in names for name in _MARKS)


def fields_of(row: Mapping[str, Any], task: TaskSpec | None, chosen: Any) -> dict[str, Any]:
    """The sample's id, task, response and gold answer. Without a task, lm_eval's target is the gold answer.

    Args:
        chosen: the response, where the caller knows which.

    Raises:
        ValueError: it holds several responses, and none is chosen.
        DataError: the document is not one of the task's.
    """
    doc = row["doc"]
    gold = doc["gold"] if doc.keys() == _OWN else _gold(row, task)
    response = _only(row["resps"]) if chosen is None else chosen
    return {"id": doc.get("id", row.get("doc_id")), "task": None, "response": response, "gold": gold}


def _gold(row: Mapping[str, Any], task: TaskSpec | None) -> Any:
    if task is None or not isinstance(task.source, FileSource | HubSource):
        return row["target"]
    return gold_of(task.source, Row("doc", row["doc"])) or None


def _only(resps: list[Any]) -> Any:
    responses = [text for each in resps for text in (each if isinstance(each, list) else [each])]
    if len(responses) != 1:
        raise ValueError(f"an lm_eval sample with {len(responses)} responses; choose one: --field response=resps.0.0")
    return responses[0]
