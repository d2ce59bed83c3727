"""What follows a run on a cluster: the report of what there is, and why the rest is missing."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from assay.cli.options import load_plan
from assay.contracts.errors import PreflightError
from assay.contracts.launch import RUN_ID
from assay.plan.expand import Plan
from assay.plan.inputs import put_ablation
from assay.stages import finish
from assay.stages.attempts import begin, remember
from assay.storage import Artifact, Store, open_store
from tests.pipeline.conftest import REPOSITORY, SMALL, SmallRun

pytestmark = pytest.mark.slow

CONFIG = REPOSITORY / "configs/ablations/quickstart.yaml"
RUN = "6f1c2d7e"


@dataclass(frozen=True)
class Ended:
    """A copy of a finished run's store, to take things away from."""

    plan: Plan
    store: Store
    ablation: str

    def lose(self, *names: str) -> None:
        """The stages did not happen."""
        for name in names:
            node = self.plan.node(name)
            self.store.delete(f"{node.ref}/manifest.json")

    def finish(self) -> str:
        """Run the stage; returns its card."""
        return finish.main(self.ablation, self.store.uri, RUN).markdown

    def read(self, name: str) -> str:
        return self.store.read_bytes(f"runs/{RUN}/quickstart/{name}").decode()


@pytest.fixture
def ended(small_run: SmallRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ended:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    shutil.copytree(small_run.root, tmp_path / "store")
    plan, store = load_plan(CONFIG, SMALL), open_store(str(tmp_path / "store"))
    return Ended(plan, store, put_ablation(plan.resolved, store))


def test_of_a_whole_run_it_leaves_the_report_and_says_that_all_is_done(ended: Ended) -> None:
    assert f"quickstart: all {len(ended.plan.nodes)} stages are done." in ended.finish()
    assert "Incomplete" not in ended.read("report.md")
    assert ended.read("report.html").startswith("<!doctype html>")


def test_of_a_broken_run_it_leaves_the_report_of_the_arms_that_are_complete(ended: Ended) -> None:
    ended.lose("evaluate adaptive sampling/seed0", "rescore adaptive sampling/seed0", "report")
    card = ended.finish()
    assert f"quickstart: {len(ended.plan.nodes) - 3} of {len(ended.plan.nodes)} stages are done." in card
    assert "| report | not started | 0 |" in card
    report = ended.read("report.md")
    assert "Incomplete: 1\xa0run is missing." in report
    assert "base settings" in report
    assert "adaptive sampling" not in report.split("## ")[1]
    assert "run/incomplete" in report


def test_without_a_complete_arm_it_leaves_how_far_the_run_came(ended: Ended) -> None:
    ended.lose("rescore base settings/seed0", "rescore adaptive sampling/seed0", "report")
    ended.finish()
    assert "rescore base settings/seed0" in ended.read("status.html")
    assert not ended.store.exists(f"runs/{RUN}/quickstart/report.html")


def test_a_step_that_failed_for_good_is_told_in_its_own_words(ended: Ended, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(RUN_ID, RUN)
    ended.lose("train adaptive sampling/seed0", "report")
    node = ended.plan.node("train adaptive sampling/seed0")
    artifact = Artifact(ended.store, "train", node.key)
    begin(artifact)
    remember(artifact, PreflightError("1 checks failed: F17 | 40 % dropped"))
    card = ended.finish()
    assert "| train adaptive sampling/seed0 | failed | 1 | 1 checks failed: F17 \\| 40 % dropped |" in card
    assert card.splitlines()[0].endswith("train adaptive sampling/seed0: 1 checks failed: F17 | 40 % dropped")
