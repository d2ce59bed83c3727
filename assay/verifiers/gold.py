"""The gold-answer self check: a verifier that refuses its own gold answers would train on noise (after
`verifiers.validate()`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from assay.contracts.errors import InputError
from assay.contracts.task import VerifierName
from assay.verifiers.pool import VerifierPool


def check_gold(name: VerifierName, golds: Sequence[str]) -> list[str]:
    """The gold answers that the verifier does not accept when a response gives them back as ``\\boxed{gold}``.

    Raises:
        InputError: there is no such verifier.
    """
    if name not in get_args(VerifierName):
        raise InputError(
            "verifier", f"no verifier is named {name!r}", f"Use one of {', '.join(get_args(VerifierName))}"
        )
    with VerifierPool() as pool:
        verdicts = pool.score(name, [(f"\\boxed{{{gold}}}", gold) for gold in golds])
    return [gold for gold, verdict in zip(golds, verdicts, strict=True) if verdict.status != "correct"]
