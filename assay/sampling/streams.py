"""Counter-based uniform numbers: token t of the request with seed s always draws the same number.

    u(s, t) = splitmix64(s + (t + 1) · φ64) / 2^53, with the top 53 bits   (Steele, Lea, Flood 2014)

No generator is carried from token to token or from row to row, so a sample depends on its own seed alone, whatever its
batch, and a resumed run draws what the killed one would have drawn (F01).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PHI = np.uint64(0x9E3779B97F4A7C15)
_MIX1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX2 = np.uint64(0x94D049BB133111EB)


def uniforms(seeds: NDArray[np.uint64], position: int) -> NDArray[np.float64]:
    """One uniform in [0, 1) per seed, for the token at `position` (0 is the first sampled token). Shape (B,)."""
    with np.errstate(over="ignore"):
        z = seeds + np.uint64(position + 1) * _PHI
        z = (z ^ (z >> np.uint64(30))) * _MIX1
        z = (z ^ (z >> np.uint64(27))) * _MIX2
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)).astype(np.float64) * 2.0**-53
