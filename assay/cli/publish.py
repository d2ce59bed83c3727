"""The finished report in a folder of the user's: report.html, report.md, summary.json.

The artifact's report cannot know which stages this call reused, so the stage table is filled in here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from assay.contracts.errors import DataError
from assay.contracts.report import ReportData
from assay.contracts.summary import StageSummary
from assay.plan.expand import Plan
from assay.storage.artifacts import Artifact
from assay.storage.store import Store


def publish(plan: Plan, store: Store, ran: Sequence[str], folder: Path) -> tuple[Path, bool]:
    """Write the three files; returns the page's path, and whether a guard stopped any run.

    `ran` names the stages that this call ran; all others were reused.
    """
    from assay.guards.findings import ended_run
    from assay.reporting import render_html, render_markdown, summary_json
    from assay.stages.report import read_report_data

    artifact = _report_artifact(plan, store)
    data = _with_stages(read_report_data(artifact), artifact, set(ran))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.html").write_text(render_html(data), encoding="utf-8")
    (folder / "report.md").write_text(render_markdown(data), encoding="utf-8")
    (folder / "summary.json").write_text(summary_json(data.summary), encoding="utf-8")
    return folder / "report.html", any(map(ended_run, data.findings))


def _report_artifact(plan: Plan, store: Store) -> Artifact:
    artifact = Artifact(store, "report", plan.report.key)
    if artifact.manifest() is None:
        raise DataError(str(artifact.uri), "this ablation has no report yet", "Run it first: assay run CONFIG")
    return artifact


def _with_stages(data: ReportData, report: Artifact, ran: set[str]) -> ReportData:
    """The stage table with what was reused, and with the report's own line."""
    manifest = report.manifest()
    seconds = manifest.seconds if manifest else 0.0
    own = StageSummary(name="report", key=report.key, reused=False, seconds=seconds)
    known = (*data.summary.stages, own)
    stages = tuple(stage.model_copy(update={"reused": stage.name not in ran}) for stage in known)
    return replace(data, summary=data.summary.model_copy(update={"stages": stages}))
