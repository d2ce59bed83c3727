"""The forest graphic that sits inside a table: one interval a row, on a scale the rows share, zero marked.

Drawn by hand rather than by matplotlib so that every interval lies on the line of its own figures.
A filled dot is a difference told apart from zero; a hollow one is not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.ticker import MaxNLocator

from assay.reporting import words

WIDTH = 240
ROW = 24
_PAD = 14


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from differences (fractions) to pixels; zero is always on it."""

    low: float
    high: float

    def x(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return round(_PAD + min(max(share, 0.0), 1.0) * (WIDTH - 2 * _PAD), 1)

    @property
    def ticks(self) -> list[float]:
        found = MaxNLocator(4, steps=[1, 2, 5, 10]).tick_values(self.low, self.high)
        return [float(tick) for tick in found if self.low - 1e-9 <= tick <= self.high + 1e-9]


def scale(bounds: Iterable[float]) -> Scale:
    """The scale that holds zero and all finite bounds."""
    finite = [bound for bound in bounds if math.isfinite(bound)]
    low, high = min(0.0, *finite, 0.0), max(0.0, *finite, 0.0)
    room = 0.04 * (high - low) or 0.01
    return Scale(low - room, high + room)


def mark(on: Scale, value: float, low: float, high: float, css: str, evident: bool) -> Markup:
    """One interval with its dot; a bare zero line when there is nothing to draw."""
    middle = ROW / 2
    zero = f'<line class="zero" x1="{on.x(0)}" x2="{on.x(0)}" y1="0" y2="{ROW}"/>'
    if not all(math.isfinite(bound) for bound in (value, low, high)):
        return _svg(zero, ROW)
    bar = f'<line stroke="{css}" stroke-width="2" x1="{on.x(low)}" x2="{on.x(high)}" y1="{middle}" y2="{middle}"/>'
    fill = css if evident else "var(--paper)"
    dot = f'<circle cx="{on.x(value)}" cy="{middle}" r="4.5" fill="{fill}" stroke="{css}" stroke-width="2"/>'
    return _svg(zero + bar + dot, ROW)


def axis(on: Scale) -> Markup:
    """The ticks under the rows, in points."""
    return _svg(
        "".join(f'<text x="{on.x(tick)}" y="13">{words.points(tick).removesuffix(".0")}</text>' for tick in on.ticks),
        18,
    )


def _svg(body: str, height: int) -> Markup:
    return Markup(f'<svg class="forest" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">{body}</svg>')
