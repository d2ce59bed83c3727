"""The report as Markdown, for the Kubeflow UI and terminals: verdict, key figures, tables, findings, drops, stages.

Names and messages are escaped: none of them can break a table or smuggle in markup.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

from assay.contracts.report import ReportData
from assay.reporting import words
from assay.reporting.headline import headline
from assay.reporting.health import worst_first
from assay.reporting.tables import Cell, Matrix, comparisons, knowledge, lm_eval_filters, matrix, models, tasks

_BREAK = re.compile(r"[\r\n\t\v\f\u2028\u2029]+")
_SPECIAL = re.compile(r"[\\`*\[\]|~$]|(?<!\w)_|_(?!\w)|<(?=[A-Za-z/!?])")
"""What Markdown would read as markup; `dr_grpo` and `p < 0.001` stay as they are, for terminals."""


def render_markdown(data: ReportData) -> str:
    """The report in Markdown (GitHub flavour). Deterministic."""
    sections = (_head, _results, _comparisons, _knowledge, _findings, _dropped, _stages)
    return "\n\n".join(text for section in sections if (text := section(data))) + "\n"


def plain(text: str) -> str:
    """Text on one line that Markdown shows as it is."""
    return _SPECIAL.sub(r"\\\g<0>", _BREAK.sub(" ", text))


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numbers: Collection[int] = ()) -> str:
    """A Markdown table, padded so that it reads in a terminal; columns in `numbers` are aligned right."""
    lines = [list(header), *([plain(text) for text in row] for row in rows)]
    widths = [max(3, *(len(line[column]) for line in lines)) for column in range(len(header))]
    rule = ["-" * (width - 1) + ":" if column in numbers else "-" * width for column, width in enumerate(widths)]
    padded = [
        [text.rjust(width) if column in numbers else text.ljust(width) for column, (text, width) in enumerate(pairs)]
        for pairs in (list(zip(line, widths, strict=True)) for line in (lines[0], rule, *lines[1:]))
    ]
    return "\n".join("| " + " | ".join(line) + " |" for line in padded)


def _head(data: ReportData) -> str:
    tiles = "\n".join(f"- {tile.label}: **{tile.value}** {plain(tile.note)}".rstrip() for tile in headline(data).tiles)
    about = " · ".join(plain(text) for text in headline(data).about)
    return f"# {plain(data.summary.name)}\n\n{about}\n\n**{plain(data.summary.verdict)}**\n\n{tiles}"


def _results(data: ReportData) -> str:
    return "\n\n".join(_matrix(matrix(data.summary, task)) for task in tasks(data.summary))


def _matrix(of: Matrix) -> str:
    header = ("model", "metric", "value", "95 % interval", "vs base, points", "95 % interval", "p (Holm)", "reading")
    rows = [
        [model, words.metric_label(name), *_cell(cell)]
        for place, name in enumerate(of.metrics)
        for model, cells in of.rows.items()
        if (cell := cells[place]).value
    ]
    title = "All tasks pooled" if of.task == "pooled" else plain(of.task)
    return f"## {title}\n\n{of.questions}\n\n{table(header, rows, numbers=range(2, 6))}"


def _cell(cell: Cell) -> tuple[str, ...]:
    return cell.value, cell.interval, cell.delta, cell.delta_interval, cell.p, cell.reading


def _comparisons(data: ReportData) -> str:
    rows = [(row.a, row.b, row.value, row.interval, row.p, row.verdict) for row in comparisons(data.summary)]
    header = ("a", "b", "a − b, points", "95 % interval", "p (Holm)", "a is")
    title = f"## Arm against arm: {plain(words.key_label(data.summary.primary_metric))}"
    return f"{title}\n\n{table(header, rows, numbers=(2, 3))}" if rows else ""


def _knowledge(data: ReportData) -> str:
    filters = lm_eval_filters(data.knowledge)
    header = (
        "task",
        "model",
        "knowledge",
        "format",
        "strict",
        "flexible",
        *map(plain, filters),
        "truncated",
        "n",
        "note",
    )
    rows = [
        (
            row.task,
            row.model,
            row.knowledge,
            row.format,
            row.strict,
            row.flexible,
            *row.lm_eval,
            row.truncated,
            f"{row.n}",
            row.drift,
        )
        for row in knowledge(data.knowledge, models(data.summary))
    ]
    return f"## Knowledge and format\n\n{table(header, rows, numbers=range(2, len(header) - 1))}" if rows else ""


def _findings(data: ReportData) -> str:
    rows = [(f.severity, f.id, f.failure, f.where, f.message) for f in worst_first(data.findings)]
    body = table(("severity", "id", "failure", "where", "what was found and what to do"), rows) if rows else "None."
    return f"## Health findings\n\n{body}"


def _dropped(data: ReportData) -> str:
    rows = [(what, f"{count:,}") for what, count in data.summary.dropped.items()]
    body = table(("stage/what", "count"), rows, numbers=(1,)) if rows else "Nothing."
    return f"## Dropped, truncated, timed out or failed\n\n{body}"


def _stages(data: ReportData) -> str:
    rows = [
        (stage.name, stage.key[:12], "reused" if stage.reused else "run", words.duration(stage.seconds))
        for stage in data.summary.stages
    ]
    return f"## Stages\n\n{table(('stage', 'key', 'work', 'time'), rows, numbers=(3,))}" if rows else ""
