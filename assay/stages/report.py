"""Stage *report*: everything the run left, gathered, tested and drawn.

data.json        all that is on the page, so that it can be drawn again
report.html, report.md, summary.json
"""

from __future__ import annotations

from pydantic import TypeAdapter

from assay.contracts.report import ReportData
from assay.contracts.stage import ReportStage
from assay.reporting import render_html, render_markdown, summary_json
from assay.stages.gather import gather
from assay.stages.work import Outcome, Work, entry
from assay.storage.artifacts import Artifact

_DATA = TypeAdapter(ReportData)


def run(spec: ReportStage, work: Work) -> Outcome:
    """Gather, then write the three forms of the report."""
    work.progress.begin(2, "parts")
    data = gather(spec, work)
    work.progress.advance()
    work.artifact.write_bytes("data.json", _DATA.dump_json(data))
    work.artifact.write_bytes("report.html", render_html(data).encode())
    work.artifact.write_bytes("report.md", render_markdown(data).encode())
    work.artifact.write_bytes("summary.json", summary_json(data.summary).encode())
    work.progress.advance()
    metrics = {
        f"{arm}/{data.summary.primary_metric}": pooled.metrics[data.summary.primary_metric].value
        for arm, pooled in data.summary.pooled.items()
    }
    return Outcome(metrics, findings=data.findings)


def read_report_data(artifact: Artifact) -> ReportData:
    """What a committed report was drawn from."""
    return _DATA.validate_json(artifact.read_bytes("data.json"))


main = entry(run)
