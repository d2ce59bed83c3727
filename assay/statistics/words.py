"""What a comparison amounts to, in words (F29): better or worse only where interval and corrected p-value agree."""

from __future__ import annotations

from typing import Literal

from assay.statistics.paired import Difference

VerdictWords = Literal["better", "worse", "no evidence of a difference"]


def verdict(difference: Difference, adjusted_p: float, alpha: float = 0.05) -> VerdictWords:
    """The arm against the baseline. `adjusted_p` is the difference's p-value after `holm` over all comparisons made."""
    if adjusted_p < alpha and difference.low > 0:
        return "better"
    if adjusted_p < alpha and difference.high < 0:
        return "worse"
    return "no evidence of a difference"
