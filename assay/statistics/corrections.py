"""Holm's step-down correction: with m comparisons, the chance of a single false one among them stays under alpha.

adjusted p_(i) = max_{j ≤ i} min(1, (m − j + 1) p_(j)),    p_(1) ≤ … ≤ p_(m)        (Holm 1979)
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from assay.contracts.errors import InputError


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values, in the order given. Raises InputError for one outside [0, 1]."""
    p = np.asarray(p_values, dtype=float)
    if not ((p >= 0) & (p <= 1)).all():
        raise InputError("holm", f"p-values {list(p_values)}", "Give p-values between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return [float(value) for value in adjusted]
