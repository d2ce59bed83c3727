"""matplotlib figures as small, deterministic, themable SVG strings.

Units are CSS pixels: the view box is as wide as the figure, so 10.5 is a 10.5 px letter. Colours become CSS
variables, fonts are the page's, coordinates have two decimals, ids hang from the figure's name, and no date is
written: same figure, same bytes.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from html import escape

from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from assay.reporting import style

_PX = 1 / 72
_COLOURS = {light: f"var({name})" for name, (light, _) in style.colours().items()}


def draw(name: str, alt: str, width: int, height: int, paint: Callable[[Axes], None]) -> Markup:
    """A figure of one pair of axes, `width` x `height` px. `name` is unique on the page; `alt` is read aloud."""
    with rc_context({**style.rc(), "svg.hashsalt": name}):
        figure = Figure(figsize=(width * _PX, height * _PX), layout="constrained")
        paint(figure.add_subplot())
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", dpi=72, transparent=True, metadata={"Date": None})
    return Markup(_tidy(buffer.getvalue(), alt, width, height))


def _tidy(svg: str, alt: str, width: int, height: int) -> str:
    body = svg[svg.index(">", svg.index("<svg")) + 1 :]
    body = re.sub(r"<(metadata|style).*?</\1>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r"<[^>]*>", _tidy_tag, body)
    body = re.sub(r">\s+<", "><", body)
    return f'<svg role="img" aria-label="{escape(alt)}" viewBox="0 0 {width} {height}" width="{width}">{body}'.strip()


def _tidy_tag(match: re.Match[str]) -> str:
    """One tag; the text between tags is left alone."""
    tag = re.sub(r"\s+", " ", match[0])
    tag = re.sub(r' id="(m\d+)"', r' class="s \1"', tag)
    tag = re.sub(r' id="[A-Za-z0-9.]+_\d+"', "", tag)
    tag = re.sub(r' transform="rotate\(-0 [^"]*"', "", tag)
    tag = (
        re.sub(r"(\d\.\d)\d+(?= |\")", r"\1", tag) if tag.startswith("<path") else re.sub(r"(\d\.\d\d)\d+", r"\1", tag)
    )
    tag = re.sub(r"font-family: [^;\"]*", "font-family: inherit", tag)
    return re.sub(r"#[0-9a-f]{6}", lambda colour: _COLOURS.get(colour[0], colour[0]), tag)
