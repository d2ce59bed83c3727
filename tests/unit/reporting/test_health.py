"""Findings by arm."""

import pytest

from assay.contracts.manifest import Finding
from assay.contracts.report import ReportData
from assay.reporting.health import owner, place, strip, worst_first


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
    arms = ("grpo", "grpo-long", "easy", "easy to hard")
    assert owner(finding(where), dict.fromkeys(arms, ())) == whose


def test_a_finding_that_names_no_arm_belongs_to_the_one_arm_that_lists_it() -> None:
    assert owner(finding("step 24"), {"grpo": ("x",), "dr_grpo": ()}) == "grpo"
    assert owner(finding("step 24"), {"grpo": ("x",), "dr_grpo": ("x",)}) == "all arms"
    assert owner(finding("dr_grpo/seed0"), {"grpo": ("x",), "dr_grpo": ()}) == "dr_grpo"


def test_a_place_always_names_its_arm() -> None:
    assert place(finding("step 24"), "grpo") == "grpo: step 24"
    assert place(finding("grpo/seed1"), "grpo") == "grpo/seed1"
    assert place(finding("seeds"), "all arms") == "seeds"


def test_errors_come_before_warnings_before_notes() -> None:
    found = worst_first([finding("a", "info"), finding("a", "warning"), finding("b", "error"), finding("a", "error")])
    assert [(f.severity, f.where) for f in found] == [("error", "a"), ("error", "b"), ("warning", "a"), ("info", "a")]


def test_every_finding_is_counted_exactly_once(report: ReportData) -> None:
    entries = strip(report.findings, {name: arm.health for name, arm in report.summary.arms.items()})
    assert sum(sum(entry.counts.values()) for entry in entries) == len(report.findings)
    assert {entry.owner: entry.text.replace("\u00a0", " ") for entry in entries} == {
        "base": "healthy",
        "grpo": "1 error, 1 warning",
        "dr_grpo": "1 error, 1 warning",
        "easy to hard": "healthy",
        "all arms": "1 note",
    }
