"""pass@k: the chance that at least one of k answers is right, from c right ones among n drawn.

    pass@k = 1 − C(n − c, k) / C(n, k) = 1 − Π_{i = n−c+1}^{n} (1 − k/i)    (Chen et al. 2021, arXiv:2107.03374, eq. 1)

Unbiased for every k ≤ n; "one of the first k was right" is pass@k of n = k, and needs no less care (F27).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from assay.contracts.errors import InputError
from assay.statistics.intervals import Estimate, interval_of_means


def pass_at_k(n: int, c: int, k: int) -> float:
    """Unbiased pass@k of one question with `c` right answers of `n`. Raises InputError unless 0 ≤ c ≤ n, 1 ≤ k ≤ n."""
    if not 0 <= c <= n:
        raise InputError("pass@k", f"{c} right answers of {n}", "Count the right ones among the answers drawn")
    if not 1 <= k <= n:
        raise InputError(
            "pass@k", f"k = {k} with {n} answers a question", f"Choose k from 1 to {n}, or draw more answers"
        )
    if n - c < k:
        return 1.0
    return float(1 - np.prod(1 - k / np.arange(n - c + 1, n + 1)))


def pass_at_k_curve(n_Q: ArrayLike, c_Q: ArrayLike, ks: Sequence[int], level: float = 0.95) -> list[Estimate]:
    """Mean pass@k over questions for each k of `ks`, with questions as the clusters of its interval.

    `n_Q` answers were drawn for each question and `c_Q` of them were right. The answers make at most Σn/k independent
    trials of k. Raises InputError if some question has fewer than k answers.
    """
    drawn, right = np.asarray(n_Q, dtype=int), np.asarray(c_Q, dtype=int)
    return [interval_of_means(_each(drawn, right, k), float(drawn.sum()) / k, level) for k in ks]


def _each(drawn_Q: np.ndarray, right_Q: np.ndarray, k: int) -> np.ndarray:
    pairs = zip(drawn_Q.tolist(), right_Q.tolist(), strict=True)
    return np.array([pass_at_k(n, c, k) for n, c in pairs], dtype=float)
