"""One look for all figures: palette, dashes and matplotlib settings.

Colours are Okabe and Ito's, safe for colour-blind readers, without yellow (too pale on white). The base model is
always grey. Figures are drawn with the light palette; every colour becomes a CSS variable on the page, so dark mode
costs nothing. Past seven arms colours repeat with another dash.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

BASE = "base"

INK = {"--ink": ("#1c1d1f", "#e8e8e6"), "--muted": ("#6a6d72", "#9a9da3"), "--rule": ("#e3e3e0", "#34363a")}
"""Variable -> (light, dark): text, secondary text, hairlines."""

PAPER = {"--paper": ("#ffffff", "#17181b")}

GREY = ("#85888d", "#a2a5aa")
PALETTE = (
    ("#0072b2", "#4aa8e0"),
    ("#d55e00", "#f28a3d"),
    ("#009e73", "#2fc79b"),
    ("#b85c93", "#dd93bd"),
    ("#c98a00", "#ecb238"),
    ("#3aa0dd", "#86cdf5"),
    ("#5b4fa3", "#a096e6"),
)
DASHES = ("", "5 2.5", "1.5 2", "7 2 1.5 2", "10 3", "3 1.5")


@dataclass(frozen=True, slots=True)
class Look:
    """How one model is drawn everywhere."""

    index: int
    """0 is the base model; arms count from 1. `.m3` marks everything of arm 3 on the page."""
    colour: str
    """Hex of the light palette."""
    dash: str
    """SVG dash array; empty: solid."""

    @property
    def css(self) -> str:
        return f"var({variable(self.index)})"

    @property
    def linestyle(self) -> str | tuple[int, tuple[float, ...]]:
        return (0, tuple(float(part) for part in self.dash.split())) if self.dash else "-"


def variable(index: int) -> str:
    """The CSS variable of a model's colour."""
    return "--base" if index == 0 else f"--arm{(index - 1) % len(PALETTE) + 1}"


def look(index: int) -> Look:
    """The look of the base model (0) or of arm `index`."""
    if index == 0:
        return Look(0, GREY[0], "")
    lap, place = divmod(index - 1, len(PALETTE))
    return Look(index, PALETTE[place][0], DASHES[lap % len(DASHES)])


def looks(models: Iterable[str]) -> dict[str, Look]:
    """Model -> look, base first and grey, arms in the order given."""
    arms = [model for model in dict.fromkeys(models) if model != BASE]
    return {BASE: look(0)} | {arm: look(index) for index, arm in enumerate(arms, start=1)}


def colours() -> dict[str, tuple[str, str]]:
    """CSS variable -> (light, dark)."""
    arms = {variable(index): pair for index, pair in enumerate(PALETTE, start=1)}
    return {**PAPER, **INK, variable(0): GREY, **arms}


def css_variables() -> str:
    """The `:root` rules of both themes."""
    light = ";".join(f"{name}:{pair[0]}" for name, pair in colours().items())
    dark = ";".join(f"{name}:{pair[1]}" for name, pair in colours().items())
    return f":root{{{light}}}\n@media screen and (prefers-color-scheme:dark){{:root{{{dark}}}}}"


def ink(name: str) -> str:
    """The light hex of `ink`, `muted` or `rule`."""
    return INK[f"--{name}"][0]


def rc() -> dict[str, object]:
    """matplotlib settings of every figure."""
    return {
        "svg.fonttype": "none",
        "font.family": "DejaVu Sans",
        "font.size": 10.5,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "axes.edgecolor": ink("rule"),
        "axes.linewidth": 1,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "axes.axisbelow": True,
        "axes.labelcolor": ink("muted"),
        "axes.labelsize": 10.5,
        "grid.color": ink("rule"),
        "grid.linewidth": 0.8,
        "text.color": ink("ink"),
        "xtick.color": ink("muted"),
        "ytick.color": ink("muted"),
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "axes.formatter.use_mathtext": False,
        "axes.unicode_minus": True,
        "path.simplify": False,
    }
