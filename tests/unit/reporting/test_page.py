"""The HTML page."""

import base64
import dataclasses
import hashlib
import json
import math
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from assay.contracts.report import CheckpointScore, ReportData
from assay.reporting import render_html

Make = Callable[..., ReportData]
SECTIONS = [
    "verdict", "results", "training", "checkpoints", "breakdown", "knowledge",
    "findings", "samples", "dropped", "stages", "configuration", "reading",
]  # fmt: skip
VOID = {"meta", "input", "br", "hr", "img", "link"}


class Reader(HTMLParser):
    """Ids in order, unclosed tags, attributes of every tag, and the text people see."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        self.text += " " if tag in ("td", "th", "dd") else ""

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.text += data


@pytest.fixture(scope="module")
def page(make: Make) -> str:
    return render_html(make())


def words_of(page: str) -> str:
    return " ".join(Reader(page).text.split())


def test_the_sections_come_in_the_order_of_the_contents_list(page: str) -> None:
    reader = Reader(page)
    ids = [attrs["id"] for tag, attrs in reader.tags if tag in ("section", "header") and "id" in attrs]
    contents = [attrs.get("href") for tag, attrs in reader.tags if tag == "a"][: len(SECTIONS)]
    assert ids == SECTIONS
    assert contents == [f"#{name}" for name in SECTIONS]


def test_every_tag_is_closed(page: str) -> None:
    assert Reader(page).open == []


def test_ids_are_unique_and_every_reference_has_its_target(page: str) -> None:
    found = re.findall(r'\bid="([^"]+)"', re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL))
    assert len(found) == len(set(found))
    references = set(re.findall(r'href="#([^"]+)"', page)) | set(re.findall(r"url\(#([^)]+)\)", page))
    assert references <= set(found)


def test_nothing_is_fetched_and_only_the_page_s_own_script_may_run(page: str) -> None:
    reader = Reader(page)
    assert not [attrs for _, attrs in reader.tags if "src" in attrs or (attrs.get("href") or "#").split("#")[0]]
    assert "http://" not in page
    assert "https://" not in page
    policy = next(attrs["content"] for _, attrs in reader.tags if "http-equiv" in attrs)
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert len(script) == 1
    digest = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert policy == (
        f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def test_the_script_never_writes_markup(page: str) -> None:
    script = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)[0]
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", script)


def test_hostile_text_stays_text(page: str) -> None:
    assert "onerror" in page
    assert not re.search(r"<img|<script>alert|<!--", page)
    assert "onerror=\"document.title='owned'\"" in words_of(page)
    assert "{{ 7*7 }}" in words_of(page)


def test_the_samples_are_all_in_the_page_and_read_back(page: str, report: ReportData) -> None:
    found = json.loads(re.findall(r'id="samples-data">(.*?)</script>', page, re.DOTALL)[0])
    assert [card["text"] for card in found["cards"]] == [card.text for card in report.samples]


def test_the_same_data_give_the_same_bytes(page: str, make: Make) -> None:
    assert render_html(make()) == page


def test_the_page_is_small(page: str) -> None:
    assert len(page.encode()) < 3_000_000


def test_the_verdict_stands_first_and_figures_carry_intervals(page: str, report: ReportData) -> None:
    text = words_of(page[page.index("<main>") :].removesuffix("</body>\n</html>"))
    assert text.index(report.summary.verdict) < text.index("Results")
    assert "+21.4 points" in text
    assert "easy to hard: 95 % interval 18.3 to 24.5, p < 0.001" in text


def test_no_evidence_of_a_difference_is_said_and_not_highlighted(page: str) -> None:
    """F29, F34."""
    primary = page[page.index('<table class="primary">') : page.index("</table>")]
    row = next(row for row in primary.split("<tr") if ">dr_grpo<" in row)
    assert "no evidence of a difference" in row
    assert row.count("<b>") == 1
    assert 'fill="var(--paper)"' in row


def test_every_finding_is_shown_with_its_number_and_place(page: str, report: ReportData) -> None:
    text = words_of(page)
    for finding in report.findings:
        assert finding.failure in text
        assert finding.where in text
        assert " ".join(finding.message.split()) in text


def test_scores_are_split_by_level_and_by_base_pass_rate(page: str) -> None:
    """F30."""
    text = words_of(page)
    assert "Accuracy by level" in text
    assert "Accuracy by base pass rate" in text
    assert "sums/4x2" in text


def test_knowledge_and_format_are_told_apart(page: str) -> None:
    """F04."""
    assert "drift −19.0" in words_of(page)


def test_a_setting_that_differs_from_its_declaration_is_marked(page: str) -> None:
    """F28."""
    assert "1 setting differs from the declaration." in words_of(page)
    assert 'class="differs">1e-06<br><span>declared 1e-3</span>' in page


def test_reward_and_validation_stand_side_by_side(page: str) -> None:
    """F20: a reward that rises while validation falls is seen at once."""
    assert page.index("Mean reward") < page.index("Validation accuracy") < page.index("KL to the base model")


def test_every_evaluated_checkpoint_is_drawn_and_the_chosen_one_named(page: str) -> None:
    """F35."""
    assert words_of(page).count("chosen: steps 40, 30") == 3


def test_what_was_dropped_and_what_was_reused_is_listed(page: str) -> None:
    text = words_of(page)
    assert "prepare/prompt too long 12" in text
    assert "train/truncated 1,034" in text
    assert "7 stages run (38 min 30 s), 2 stages reused (5 min 16 s)" in text


def test_values_that_are_not_finite_are_counted_on_the_page(page: str) -> None:
    assert "6 values not finite, not drawn" in words_of(page)
    assert "nan" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL).lower().replace("dr_", "").split()


def test_one_arm_with_one_seed_is_told_that_luck_is_not_excluded(make: Make) -> None:
    """F29."""
    text = words_of(render_html(make(arms=("grpo",), tasks=("sums",), seeds=1, samples=3)))
    assert "one run per arm cannot tell an arm from luck" in text


def test_a_report_without_any_rows_still_says_so(report: ReportData) -> None:
    nothing = {"arms": {}, "pooled": {}, "comparisons": (), "stages": (), "dropped": {}}
    summary = report.summary.model_copy(update=nothing)
    empty = dataclasses.replace(
        report,
        summary=summary,
        curves=(), pass_at_k=(), bands=(), checkpoints=(), curriculum=(), knowledge=(), findings=(), samples=(),
        declared="", resolved="", actual={},
    )  # fmt: skip
    text = words_of(render_html(empty))
    for sentence in (
        "No training step was logged.",
        "No checkpoint was evaluated.",
        "No rule fired.",
        "No samples were kept.",
    ):
        assert sentence in text


def test_an_arm_that_was_stopped_before_evaluation_is_not_measured_but_its_curves_stay(make: Make) -> None:
    data = make(samples=0)
    without = {
        home: {name: arm for name, arm in getattr(data.summary, home).items() if name != "dr_grpo"}
        for home in ("arms", "pooled")
    }
    page = render_html(dataclasses.replace(data, summary=data.summary.model_copy(update=without)))
    primary = page[page.index('<table class="primary">') : page.index("</table>")]
    assert "not measured" in next(row for row in primary.split("<tr") if ">dr_grpo<" in row)
    assert 'class="s m3"' in page


def test_scores_that_are_not_finite_do_not_stop_the_report(report: ReportData) -> None:
    broken = CheckpointScore("grpo", 0, 10, math.nan, math.nan, math.nan, True)
    assert render_html(dataclasses.replace(report, checkpoints=(broken,), samples=()))


def test_long_names_and_forty_arms_fit_the_page(make: Make) -> None:
    arms = tuple(f"arm with a rather long name indeed {n:02d}" for n in range(40))
    page = render_html(make(arms=arms, seeds=1, steps=12, samples=40))
    assert len(page.encode()) < 3_000_000
    text = words_of(page)
    assert all(text.count(arm) >= 4 for arm in arms)


CHROMIUM = shutil.which("chromium")


def dom(path: Path, query: str) -> str:
    switches = "headless no-sandbox disable-gpu no-first-run disable-background-networking disable-sync dump-dom"
    command = [str(CHROMIUM), *(f"--{switch}" for switch in switches.split()), "--virtual-time-budget=2000"]
    command += [f"--user-data-dir={path.parent / 'profile'}", f"file://{path}{query}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_a_browser_shows_hostile_completions_as_text(page: str, tmp_path: Path) -> None:
    (tmp_path / "report.html").write_text(page)
    shown = dom(tmp_path / "report.html", "#samples?search=onerror")
    assert "<title>sums-grpo · Assay report</title>" in shown
    assert "1 of 200 samples" in shown
    assert re.search(r"<pre>&lt;/script&gt;&lt;img src=x onerror=", shown)


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_filters_and_keys_lead_through_the_samples(page: str, tmp_path: Path) -> None:
    press = "<script>document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))</script>"
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page).replace("</body>", press + "</body>")
    (tmp_path / "report.html").write_text(page)
    shown = dom(tmp_path / "report.html", "#samples?disagree=1&model=base")
    header = re.findall(r'<article class="card"><header><b>([^<]*)</b>', shown)
    listed = re.findall(r'<li( aria-current="")?><span class="dot"[^>]*></span><span class="id"[^>]*>([^<]*)<', shown)
    assert f"{len(listed)} of 200 samples" in shown
    assert listed[1][0]
    assert header == [listed[1][1]]
