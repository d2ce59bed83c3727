"""Computer algebra for the answers that this room's own rules leave open: math-verify, inside a worker process only.

math-verify's tolerances are tightened (30 digits, 12 decimals), its own timers stay off (the supervisor kills
instead), and raw text only ever meets its LaTeX grammar, never `parse_expr`.
"""

from __future__ import annotations

from typing import Any

_PRECISION_DIGITS = 30
_DECIMALS = 12
_WARM_UP = (
    ("\\sqrt{x^2+1}", "x+1"),
    ("\\int_0^1 x\\,dx", "\\frac{1}{2}"),
    ("1 \\leq |x| \\leq 2", "[-2,-1] \\cup [1,2]"),
)


def expression(text: str) -> Any:
    """The sympy object of a LaTeX answer, or None when the grammar does not read it."""
    from latex2sympy2_extended import normalize_latex
    from math_verify.parser import LatexExtractionConfig, parse_latex_cached

    try:
        return parse_latex_cached(normalize_latex(text, config=LatexExtractionConfig().normalization_config))
    except (MemoryError, RecursionError):
        raise
    except Exception:  # noqa: BLE001 (the grammar raises errors of many kinds; all mean: not readable)
        return None


def compare(pred: str, gold: str) -> tuple[str, str]:
    """(status, detail) for two LaTeX answers. Raises what the libraries raise."""
    from math_verify import verify

    expressions = expression(gold), expression(pred)
    if expressions[0] is None or expressions[1] is None:
        return "wrong", "not readable as mathematics"
    equal = verify(
        *expressions,
        float_rounding=_DECIMALS,
        numeric_precision=_PRECISION_DIGITS,
        timeout_seconds=None,
        raise_on_error=True,
    )
    return ("correct" if equal else "wrong"), ""


def warm_up() -> None:
    """Imports the libraries and runs a few comparisons, so that no question pays for it."""
    for pred, gold in _WARM_UP:
        compare(pred, gold)
