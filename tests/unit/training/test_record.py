"""Trace rows: what each says, and whose it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from assay.contracts.records import TraceRow
from assay.storage.tables import schema_of
from assay.training.credit import Credit, StepBatch
from assay.training.record import RunIdentity, trace_rows, unused_rows
from assay.training.rollout import Rollout

COLUMNS = {
    "run": "run",
    "arm": "arm",
    "seed": "seed",
    "step": "step",
    "prompt id": "problem_id",
    "sample index": "sample_index",
    "request seed": "request_seed",
    "text": "text",
    "finish reason": "finish_reason",
    "token count": "completion_tokens",
    "log-prob sum by trainer": "logprob_sum_trainer",
    "log-prob sum by sampler": "logprob_sum_sampler",
    "each verifier's verdict": "verdicts",
    "reward parts": "reward_parts",
    "advantage": "advantage",
    "staleness": "staleness_steps",
}
"""What the architecture asks of a trace row, and the column that holds it."""


def test_a_trace_row_has_all_that_the_architecture_names() -> None:
    assert set(COLUMNS.values()) <= set(schema_of(TraceRow).names)


def test_rows_of_several_ablations_are_told_apart_by_the_run(make_rollout: Callable[..., Rollout]) -> None:
    """Arm and seed have the same names in all of them."""
    rollout = make_rollout("a", [1], [2, 3])
    batch = StepBatch([rollout], [1], [[-0.5, -0.25]], [[-1.0, -1.0]], token_budget=4)
    rows = [
        trace_rows(RunIdentity(run, "arm", 0), 7, batch, Credit([[0.5, 0.5]]), staleness_steps=1)[0] for run in "xy"
    ]
    assert [(row.run, row.arm, row.step, row.logprob_sum_trainer) for row in rows] == [
        ("x", "arm", 7, -0.75), ("y", "arm", 7, -0.75)
    ]  # fmt: skip


def test_what_was_not_used_has_no_log_probs_by_the_trainer(make_rollout: Callable[..., Rollout]) -> None:
    used = make_rollout("a", [1], [2, 3])
    rows = unused_rows(RunIdentity("x", "arm", 0), 7, [used, replace(used, used=False)], staleness_steps=0)
    assert [(row.used, math.isnan(row.logprob_sum_trainer), row.logprob_sum_sampler) for row in rows] == [
        (False, True, -2.0)
    ]
