"""The report: one HTML page, the same in Markdown, `summary.json`, and two runs side by side."""

from assay.reporting.compare import compare_summaries
from assay.reporting.markdown import render_markdown
from assay.reporting.page import render_html
from assay.reporting.summary_io import load_summary, summary_json

__all__ = ["compare_summaries", "load_summary", "render_html", "render_markdown", "summary_json"]
