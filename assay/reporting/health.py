"""Findings by arm: who is healthy, who is not, and what a finding is about.

A finding belongs to the arm that its `where` starts with (`ARM`, `ARM/seed1`, `ARM: step 40`; the longest name wins),
else to the one arm whose summary lists its id, else to the ablation as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from assay.contracts.manifest import Finding, Severity
from assay.reporting import words

SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
EVERYTHING = "all arms"
"""Where findings go that are about no single arm."""


@dataclass(frozen=True, slots=True)
class Health:
    """How one arm, or the ablation as a whole, is doing."""

    owner: str
    counts: dict[Severity, int]

    @property
    def worst(self) -> str:
        return next((severity for severity in SEVERITIES[:2] if self.counts[severity]), "healthy")

    @property
    def text(self) -> str:
        names = {"error": "error", "warning": "warning", "info": "note"}
        return ", ".join(words.count(n, names[severity]) for severity, n in self.counts.items() if n) or "healthy"


def owner(finding: Finding, health: Mapping[str, Collection[str]]) -> str:
    """The arm a finding is about. `health` maps every arm to the ids of its findings."""
    named = [arm for arm in health if re.match(re.escape(arm) + r"(?![\w.-])", finding.where)]
    listing = [arm for arm, ids in health.items() if finding.id in ids]
    return max(named, key=len, default=listing[0] if len(listing) == 1 else EVERYTHING)


def place(finding: Finding, whose: str) -> str:
    """Where the finding is, with its arm in front: `grpo: step 24`."""
    return finding.where if whose == EVERYTHING or finding.where.startswith(whose) else f"{whose}: {finding.where}"


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Errors, warnings, then the rest, by id and place."""
    return sorted(findings, key=lambda finding: (SEVERITIES.index(finding.severity), finding.id, finding.where))


def strip(findings: Sequence[Finding], health: Mapping[str, Collection[str]]) -> list[Health]:
    """One entry per arm, and one for the ablation as a whole when anything is about all of it."""
    owners = [owner(finding, health) for finding in findings]
    names = [*health, *([EVERYTHING] if EVERYTHING in owners else [])]
    return [
        Health(name, _counts(f for f, whose in zip(findings, owners, strict=True) if whose == name)) for name in names
    ]


def _counts(findings: Iterable[Finding]) -> dict[Severity, int]:
    severities = [finding.severity for finding in findings]
    return {severity: severities.count(severity) for severity in SEVERITIES}
