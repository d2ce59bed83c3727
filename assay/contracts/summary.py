"""`summary.json`, the machine-readable result beside the report, and the rows the report draws.

Accuracies and differences are fractions, never percent. Intervals are 95 %.
"""

from __future__ import annotations

from typing import Literal

from assay.contracts.base import Frozen


class Delta(Frozen):
    """A paired difference to the base model on the same questions."""

    value: float
    ci_low: float
    ci_high: float
    p_adjusted: float
    """Holm-adjusted over the arms, for this metric."""


class Metric(Frozen):
    """One metric of one arm, over its seeds."""

    value: float
    ci_low: float
    ci_high: float
    n: int
    """Questions."""
    delta_vs_base: Delta | None = None


class ArmSummary(Frozen):
    """One arm. `metrics` is keyed `TASK/METRIC`; under `pooled` the task is `pooled`."""

    seeds: int
    checkpoint: str
    """The checkpoint measured, chosen on the validation split: `step-000040`; one per seed, joined by commas."""
    metrics: dict[str, Metric]
    health: tuple[str, ...]
    """Ids of this arm's findings, worst first."""
    gpu_hours: float
    """Accelerator hours of its training; 0 on CPU."""
    train_hours: float
    """Wall-clock hours of its training."""


class StageSummary(Frozen):
    """A stage of the plan and whether its work was reused."""

    name: str
    key: str
    reused: bool
    seconds: float


class Comparison(Frozen):
    """Two arms on the primary metric."""

    a: str
    b: str
    value: float
    """a − b."""
    ci_low: float
    ci_high: float
    p_adjusted: float
    verdict: Literal["better", "worse", "no evidence of a difference"]


class Summary(Frozen):
    """The whole of summary.json."""

    schema_version: Literal[1] = 1
    """Written as `schema`."""
    name: str
    verdict: str
    """The result in words, as at the top of the report."""
    primary_metric: str
    arms: dict[str, ArmSummary]
    """`base` is among them."""
    pooled: dict[str, ArmSummary]
    comparisons: tuple[Comparison, ...]
    stages: tuple[StageSummary, ...]
    dropped: dict[str, int]
    """Everything dropped, truncated, timed out or failed, by `stage/what`."""
