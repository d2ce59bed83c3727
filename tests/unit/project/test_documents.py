"""Documents that cannot rot unnoticed: links lead somewhere, generated pages are up to date, names are explained."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from assay.contracts.training import default_guards
from assay.stages.gather import CURVES

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
MODULE = re.compile(r"`([a-z_]+/[a-z_0-9/]+)`")
CODE = re.compile(r"^```.*?^```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
ELSEWHERE = ("http://", "https://", "mailto:")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = HEADING.findall(FENCED.sub("", page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path) -> list[str]:
    links = LINK.findall(CODE.sub("", page.read_text(encoding="utf-8")))
    return [link for link in links if not link.startswith(ELSEWHERE) and not leads_somewhere(page, link)]


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return target.exists() and (not anchor or anchor in anchors(target))


def is_module_of_none(root: Path, path: str) -> bool:
    """Whether a path speaks of a room of the house, and of nothing that is in it."""
    named = root / "assay" / path
    return (root / "assay" / path.partition("/")[0]).is_dir() and not (
        named.is_dir() or named.with_suffix(".py").exists()
    )


def test_every_module_that_a_page_names_exists(root: Path) -> None:
    pages = (root / "docs").rglob("*.md")
    named = {(page.name, path) for page in pages for path in MODULE.findall(page.read_text(encoding="utf-8"))}
    assert len(named) > 30
    assert {(page, path) for page, path in named if is_module_of_none(root, path)} == set()


def test_every_relative_link_leads_somewhere(root: Path, tracked: list[Path]) -> None:
    pages = [path for path in tracked if path.suffix == ".md"]
    assert {str(page.relative_to(root)): broken(page) for page in pages if broken(page)} == {}


def test_generated_reference_pages_are_up_to_date(root: Path) -> None:
    pages = runpy.run_path(str(root / "scripts" / "make_reference.py"))["pages"]()
    stale = [name for name, text in pages.items() if (root / "docs/reference" / name).read_text("utf-8") != text]
    assert not stale, "run: make reference"


def test_every_page_is_reached_from_the_index(root: Path) -> None:
    docs = root / "docs"
    linked = {
        (docs / link.partition("#")[0]).resolve() for link in LINK.findall((docs / "index.md").read_text("utf-8"))
    }
    assert {path for path in docs.rglob("*.md") if path.name != "index.md"} <= linked


@pytest.mark.parametrize("number", range(1, 36))
def test_every_known_failure_has_its_row(root: Path, number: int) -> None:
    assert f"\n| F{number:02d} |" in (root / "docs/reference/failures.md").read_text("utf-8")


def test_every_guarded_or_drawn_metric_is_explained(root: Path) -> None:
    page = (root / "docs/reference/metrics.md").read_text("utf-8")
    names = {rule.metric for rule in default_guards().values()} | set(CURVES)
    assert {name for name in names if f"`{name}`" not in page} == set()
