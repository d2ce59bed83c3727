"""The seed tree: every random number of a run hangs from one integer, by name.

    derive(seed, "train", problem_id, step, sample_index) -> 63-bit integer

sha256 over the canonical JSON of the path; no two paths share a stream, and no order of calls matters.
"""

from __future__ import annotations

import hashlib

from assay.contracts.base import canonical_json


def derive(*path: int | str) -> int:
    """The seed at a path of names and numbers: 0 <= seed < 2**63."""
    if not path:
        raise ValueError("derive() needs at least the root seed; pass (seed, 'purpose', …)")
    return int.from_bytes(hashlib.sha256(canonical_json(list(path)).encode()).digest()[:8], "big") >> 1
