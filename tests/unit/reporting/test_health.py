"""Findings by arm."""

import pytest

from assay.contracts.manifest import Finding
from assay.contracts.report import ReportData
from assay.reporting.health import owner, strip, worst_first


def finding(where: str, severity: str = "warning", id_: str = "x") -> Finding:
    return Finding.model_validate({"id": id_, "severity": severity, "where": where, "message": "m"})


@pytest.mark.parametrize(
    ("where", "whose"),
    [
        ("grpo", "grpo"),
        ("grpo/seed1", "grpo"),
        ("grpo: step 3", "grpo"),
        ("grpo-long/seed0", "grpo-long"),
        ("grpo2", "all arms"),
        ("step 3 of grpo", "all arms"),
        ("easy to hard/seed0", "easy to hard"),
        ("easy/seed0", "easy"),
    ],
)
def test_a_finding_belongs_to_the_arm_its_place_starts_with(where: str, whose: str) -> None:
    assert owner(finding(where), ["grpo", "grpo-long", "easy", "easy to hard"]) == whose


def test_errors_come_before_warnings_before_notes() -> None:
    found = worst_first([finding("a", "info"), finding("a", "warning"), finding("b", "error"), finding("a", "error")])
    assert [(f.severity, f.where) for f in found] == [("error", "a"), ("error", "b"), ("warning", "a"), ("info", "a")]


def test_every_finding_is_counted_exactly_once(report: ReportData) -> None:
    entries = strip(report.findings, ["base", "grpo", "dr_grpo", "easy to hard"])
    assert sum(sum(entry.counts.values()) for entry in entries) == len(report.findings)
    assert {entry.owner: entry.text.replace("\u00a0", " ") for entry in entries} == {
        "base": "healthy",
        "grpo": "1 error, 1 warning",
        "dr_grpo": "1 error, 1 warning",
        "easy to hard": "healthy",
        "all arms": "1 note",
    }
