"""Reading what *prepare* committed; light, so that stages without a model need not import one."""

from __future__ import annotations

import json

from assay.contracts.records import PromptRow
from assay.storage.artifacts import Artifact
from assay.storage.tables import rows_from_parquet

PROMPTS = "prompts.parquet"
DIGESTS = "digests.json"


def prepared_prompts(prepare: Artifact, split: str) -> list[PromptRow]:
    """The prompts of one split."""
    return [row for row in rows_from_parquet(prepare.read_bytes(PROMPTS), PromptRow) if row.split == split]


def prepared_digests(prepare: Artifact) -> dict[str, str]:
    """Task -> digest of what the model sees (F05)."""
    digests: dict[str, str] = json.loads(prepare.read_bytes(DIGESTS))
    return digests
