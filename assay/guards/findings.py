"""Findings: made from an id, accepted by a person, or fatal.

An id is `FAILURE/what`, for instance `F03/acceptance`; a rule that defends against no known failure has a bare name.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from assay.contracts.errors import PreflightError
from assay.contracts.manifest import Finding, Severity

FAILURE = re.compile(r"(F\d\d)/")

TRUNCATED_WARN, TRUNCATED_ERROR = 0.02, 0.05
"""Shares of answers cut by the token budget, in the preflight and in an evaluation (F11)."""


OF_VERDICTS = ("reward_mean", "reward_std", "pass_rate")
"""Metrics that are NaN by design at a step where nothing could be judged: that is F19, not F15."""


def finding(identity: str, severity: Severity, where: str, message: str) -> Finding:
    """A finding whose failure is read off its id."""
    failure = FAILURE.match(identity)
    return Finding(id=identity, failure=failure[1] if failure else "", severity=severity, where=where, message=message)


def ended_run(item: Finding) -> bool:
    """Whether it tells that a guard ended a run: by its `stop`, or because its rollbacks are used up."""
    return item.severity == "error" and item.id.startswith(("guard/", "rollback/"))


def acknowledged(findings: Sequence[Finding], ids: Collection[str]) -> list[Finding]:
    """The findings, those a person accepted by id (`evaluation.acknowledge`) turned into information."""
    return [_accepted(item) if item.id in ids and item.severity != "info" else item for item in findings]


def _accepted(item: Finding) -> Finding:
    return item.model_copy(update={"severity": "info", "message": f"Acknowledged in the config. {item.message}"})


def require_passed(findings: Sequence[Finding]) -> None:
    """Stop here when a check failed.

    Raises:
        PreflightError: lists every finding of severity `error`.
    """
    errors = [item for item in findings if item.severity == "error"]
    if errors:
        lines = [f"  {item.id} ({item.where}): {item.message}" for item in errors]
        remedy = "Mend what they name, or list an id under `evaluation.acknowledge` if it is as you mean it"
        raise PreflightError("\n".join([f"{len(errors)} checks failed before training. {remedy}.", *lines]))
