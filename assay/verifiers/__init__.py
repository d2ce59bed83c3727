"""Verifiers: a response and a gold answer in, a `Verdict` out. Pure: the same text has the same verdict.

    strict     the answer in the last \\boxed{}, compared exactly; for training where the format matters
    flexible   the last number of the text, compared exactly; lm_eval's flexible-extract, reading \\boxed{} rightly
    symbolic   the answer wherever it stands, compared as mathematics; for knowledge apart from format (F03, F04)

How an answer is found is in `extract`; what counts as equal, and which policies that takes, in `normalise` and
`structure`. Text after the first stop string is never looked at (F12). A verifier that fails says `error` or
`timeout`, never `wrong` (F19).
"""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from functools import cache

from assay.contracts.records import Verdict
from assay.contracts.task import VerifierName
from assay.verifiers.gold import check_gold
from assay.verifiers.judge import compare
from assay.verifiers.pool import VerifierPool

__all__ = ["VERIFIER_VERSIONS", "VerifierPool", "check_gold", "equivalent", "verify"]

VERIFIER_VERSIONS: dict[str, int] = {"strict": 1, "flexible": 1, "symbolic": 1}
"""Bump a verifier's version whenever a verdict may change; scores are comparable within a version."""


@cache
def _shared_pool() -> VerifierPool:
    """One worker for single calls; it starts when a comparison first needs it and ends with this process."""
    pool = VerifierPool()
    atexit.register(pool.close)
    return pool


def verify(name: VerifierName, response: str, gold: str, *, stop: Sequence[str] = ()) -> Verdict:
    """The verdict on one response. For many, use a `VerifierPool`."""
    return _shared_pool().score(name, [(response, gold)], stop)[0]


def equivalent(pred: str, gold: str) -> Verdict:
    """Whether two extracted answers are the same, by the rules of `symbolic`."""
    if not pred.strip():
        return Verdict("no_answer", 0.0)
    return _shared_pool().settle([compare(pred, gold, "given")])[0]
