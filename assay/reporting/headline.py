"""The top of the report: what was run, at what cost, and the few figures that matter."""

from __future__ import annotations

import math
from dataclasses import dataclass

from assay.contracts.report import ReportData
from assay.contracts.summary import Metric, Summary
from assay.reporting import words
from assay.reporting.style import BASE
from assay.reporting.tables import metric, models


@dataclass(frozen=True, slots=True)
class Tile:
    """One key figure: what it is, the figure, and how sure it is."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Headline:
    """`about` is the title line: date, model, hardware, cost."""

    about: tuple[str, ...]
    tiles: tuple[Tile, ...]


def headline(data: ReportData) -> Headline:
    """Date, model, hardware and cost, and two to four key figures."""
    model = f"{data.model} ({words.parameters(data.parameters)} parameters)"
    return Headline(
        (f"{data.created[:16].replace('T', ' ')} UTC", model, data.hardware, _cost(data.summary)), _tiles(data.summary)
    )


def _cost(summary: Summary) -> str:
    gpu_hours = sum(arm.gpu_hours for arm in summary.arms.values())
    train_hours = sum(arm.train_hours for arm in summary.arms.values())
    training = f"{words.duration(train_hours * 3600)} of training"
    return f"{gpu_hours:,.1f} GPU hours, {training}" if gpu_hours else f"{training}, no GPU"


def _tiles(summary: Summary) -> tuple[Tile, ...]:
    found = {model: score for model in models(summary) if (score := metric(summary, model, summary.primary_metric))}
    gains = {arm: score for arm, score in found.items() if score.delta_vs_base and math.isfinite(score.value)}
    best = max(gains, key=lambda arm: gains[arm].value, default=None)
    gain = _gain(best, gains[best], found.get(BASE), summary.primary_metric) if best is not None else ()
    return (*gain, *_size(summary, found))


def _gain(arm: str, score: Metric, base: Metric | None, key: str) -> tuple[Tile, ...]:
    delta = score.delta_vs_base
    if delta is None:
        return ()
    reading = words.reading(delta)
    sureness = reading if reading == words.NO_EVIDENCE else words.p_value(delta.p_adjusted)
    note = f"{arm}: 95{words.NBSP}% interval {words.interval(delta.ci_low, delta.ci_high)}, {sureness}"
    gain = Tile("Largest difference to base", f"{words.points(delta.value)} points", note)
    if base is None:
        return (gain,)
    move = f"{words.number(base.value * 100)} → {words.percent(score.value)}"
    return (gain, Tile(f"Base → {arm}", move, words.key_label(key)))


def _size(summary: Summary, found: dict[str, Metric]) -> tuple[Tile, ...]:
    questions = max((score.n for score in found.values()), default=0)
    seeds = sorted({arm.seeds for name, arm in summary.arms.items() if name != BASE})
    spread = "–".join(str(seed) for seed in (seeds[:1] + seeds[-1:] if len(seeds) > 1 else seeds)) or "0"
    note = "one run per arm cannot tell an arm from luck" if seeds and seeds[0] < 2 else "training seeds of each arm"
    return (
        Tile("Held-out questions", f"{questions:,}", "the same ones for every model"),
        Tile("Seeds per arm", spread, note),
    )
