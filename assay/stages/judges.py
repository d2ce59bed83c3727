"""What the judges of a stage cost, as its metrics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from assay.contracts.verifier import Verifier
from assay.verifiers import endpoint
from assay.verifiers.replies import Usage


@contextmanager
def judge_costs(verifiers: Iterable[Verifier]) -> Iterator[dict[str, float]]:
    """`judge_calls`, `judge_cache_hits`, `judge_prompt_tokens`, `judge_completion_tokens`, filled in when the block has
    ended; nothing where no judge was asked."""
    asked = list(verifiers)
    before, metrics = endpoint.usage(*asked), dict[str, float]()
    yield metrics
    cost = endpoint.usage(*asked) - before
    if cost != Usage():
        metrics.update({f"judge_{name}": float(count) for name, count in asdict(cost).items()})
