"""The report in Markdown."""

import re
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.report import ReportData
from assay.reporting import render_markdown
from assay.reporting.markdown import plain, table


def cells(line: str) -> list[str]:
    """The cells of a table row, as a GitHub parser splits it: at pipes that no odd run of backslashes escapes."""
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


def tables(markdown: str) -> list[list[str]]:
    blocks = [block.splitlines() for block in markdown.split("\n\n")]
    return [block for block in blocks if block[0].startswith("|")]


def test_every_table_has_one_number_of_columns(report: ReportData) -> None:
    found = tables(render_markdown(report))
    assert len(found) == 8
    for block in found:
        assert len({len(cells(line)) for line in block}) == 1
        assert re.fullmatch(r"(\| :?-+:? )+\|", block[1])


def test_the_verdict_comes_first_then_tables_then_findings(report: ReportData) -> None:
    text = render_markdown(report)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    assert headings == [
        "sums-grpo",
        "All tasks pooled",
        "sums",
        "chains",
        "Arm against arm: pass@1, all tasks pooled",
        "Knowledge and format",
        "Health findings",
        "Dropped, truncated, timed out or failed",
        "Stages",
    ]
    assert text.index(f"**{report.summary.verdict}**") < text.index("## ")


def test_no_evidence_of_a_difference_is_said_in_words(report: ReportData) -> None:
    """F29."""
    line = next(line for line in render_markdown(report).splitlines() if line.startswith("| dr_grpo"))
    assert "no evidence of a difference" in line


def test_the_same_data_give_the_same_markdown(make: Callable[..., ReportData]) -> None:
    assert render_markdown(make()) == render_markdown(make())


@given(st.lists(st.lists(st.text(max_size=30), min_size=2, max_size=2), min_size=1, max_size=4))
def test_no_text_can_break_a_table(rows: list[list[str]]) -> None:
    lines = table(("a", "b"), rows).split("\n")
    assert len(lines) == len(rows) + 2
    assert all(len(cells(line)) == 2 for line in lines)


def test_hostile_text_is_not_markup() -> None:
    assert plain("<img src=x> [a](b) *c* `d`\n# e") == "\\<img src=x> \\[a\\](b) \\*c\\* \\`d\\` # e"


def test_plain_words_and_numbers_stay_readable_in_a_terminal() -> None:
    assert plain("dr_grpo: p < 0.001") == "dr_grpo: p < 0.001"
