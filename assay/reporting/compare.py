"""Two runs side by side, for `assay compare`: a Markdown table per arm that reads well in a terminal too.

The difference b − a of two runs has no questions to pair by here, so its 95 % interval is the MOVER interval of two
independent estimates with intervals [l, u] (Zou and Donner, 2008, Statistics in Medicine 27):

    low = d − √((b − l_b)² + (u_a − a)²),   high = d + √((u_b − b)² + (a − l_a)²),   d = b − a

It is wider than a paired one when both runs answered the same questions.
"""

from __future__ import annotations

import math

from assay.contracts.summary import ArmSummary, Metric, Summary
from assay.reporting import words
from assay.reporting.markdown import plain, table
from assay.reporting.tables import models

HEADER = ("metric", "a", "95 % interval", "b", "95 % interval", "b − a, points", "95 % interval", "reading")
ONE_SIDED = "in one run only"


def compare_summaries(a: Summary, b: Summary) -> str:
    """Markdown: both verdicts, then for every arm its metrics in both runs."""
    names = list(dict.fromkeys((*models(a), *models(b))))
    head = [
        f"# {plain(a.name)} (a) and {plain(b.name)} (b)",
        f"- **a**: {plain(a.verdict)}\n- **b**: {plain(b.verdict)}",
    ]
    foot = "Intervals of b − a treat the runs as independent; they are wide when both answered the same questions."
    return "\n\n".join([*head, *(_arm(a, b, name) for name in names), foot]) + "\n"


def move(a: Metric, b: Metric) -> tuple[float, float, float]:
    """b − a with its MOVER interval, as fractions."""
    change = b.value - a.value
    low = change - math.hypot(b.value - b.ci_low, a.ci_high - a.value)
    high = change + math.hypot(b.ci_high - b.value, a.value - a.ci_low)
    return change, low, high


def _arm(a: Summary, b: Summary, name: str) -> str:
    sides = _metrics(a, name), _metrics(b, name)
    keys = list(dict.fromkeys((*sides[0], *sides[1])))
    where = "".join(f"\n\nOnly in {label}." for label, other in (("a", b), ("b", a)) if name not in models(other))
    rows = [_row(key, sides[0].get(key), sides[1].get(key)) for key in keys]
    return f"## {plain(name)}{where}\n\n{table(HEADER, rows, numbers=range(1, 7))}"


def _metrics(summary: Summary, name: str) -> dict[str, Metric]:
    homes: list[ArmSummary] = [home[name] for home in (summary.pooled, summary.arms) if name in home]
    return {key: metric for home in homes for key, metric in home.metrics.items()}


def _row(key: str, a: Metric | None, b: Metric | None) -> list[str]:
    values = [text for side in (a, b) for text in _value(side)]
    if a is None or b is None:
        return [key, *values, words.DASH, words.DASH, ONE_SIDED]
    change, low, high = move(a, b)
    verdict = words.NO_EVIDENCE if low <= 0 <= high else "higher in b" if change > 0 else "lower in b"
    return [key, *values, words.points(change), words.interval(low, high), verdict]


def _value(metric: Metric | None) -> tuple[str, str]:
    if metric is None:
        return words.DASH, words.DASH
    return words.percent(metric.value), words.interval(metric.ci_low, metric.ci_high)
