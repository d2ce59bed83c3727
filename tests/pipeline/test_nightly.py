"""Two small ablations for two nights, through Kubeflow's local runner: the second night runs nothing and says so."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from assay.cli.layout import LaidAblation, Layout, Target, ThisMachine
from assay.cli.pipeline import build_pipeline
from assay.cli.pods import KubernetesPods
from assay.contracts.errors import SpecError
from assay.contracts.nightly import Night
from assay.contracts.profile import ClusterSpec
from assay.contracts.stage import Runtime
from assay.plan.expand import expand
from assay.plan.load import load_ablation
from assay.plan.load_nightly import load_nightly
from assay.plan.resolve import resolve
from assay.storage import open_store
from assay.storage.nights import committed_nights, read_rows
from tests.pipeline.conftest import REPOSITORY, assay

ARMS: dict[str, Any] = {"plain": {}, "slow": {"optimizer": {"learning_rate": 1e-5}}}


def ablation(name: str, arms: dict[str, Any], steps: int = 2) -> dict[str, Any]:
    return {
        "name": name,
        "model": {"path": str(REPOSITORY / "models/sums-500k"), "kind": "base"},
        "tasks": [{"use": str(REPOSITORY / "configs/tasks/sums.yaml"), "train": 16, "validation": 8, "heldout": 16}],
        "curriculum": {"samples_per_prompt": 2},
        "train": {
            "steps": steps, "prompts_per_step": 4, "samples_per_prompt": 4, "checkpoint_every_steps": 1,
            "validate_every_steps": 1,
        },
        "arms": arms,
        "evaluation": {"checkpoints": 2, "samples_per_prompt": 2},
    }  # fmt: skip


def write(folder: Path) -> Path:
    """A nightly of two ablations that share all but an arm."""
    (folder / "one.yaml").write_text(yaml.safe_dump(ablation("one", {"plain": {}})))
    (folder / "two.yaml").write_text(yaml.safe_dump(ablation("two", ARMS)))
    (folder / "nightly.yaml").write_text(yaml.safe_dump({"name": "mini", "ablations": ["one.yaml", "two.yaml"]}))
    return folder / "nightly.yaml"


@dataclass(frozen=True)
class Nights:
    """Two nights in a row."""

    folder: Path
    processes: list[Any]

    @property
    def kept(self) -> list[Night]:
        return committed_nights(open_store(str(self.folder / "root")), "mini")[0]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Nights:
    folder = tmp_path_factory.mktemp("nights")
    config, where = write(folder), ("--root", str(folder / "root"), "--out", str(folder / "out"))
    return Nights(folder, [assay("nightly", str(config), *where) for _ in range(2)])


@pytest.mark.slow
def test_a_night_ends_well_and_prints_the_pages_path_last(nights: Nights) -> None:
    for process in nights.processes:
        assert process.returncode == 0, process.stderr
        assert process.stdout.splitlines()[-1] == str(nights.folder / "out" / "nightly.html")


@pytest.mark.slow
def test_the_second_night_runs_nothing_and_says_identical(nights: Nights) -> None:
    first, second = nights.kept
    assert {model.change.state for found in first.ablations for model in found.models} == {"first"}
    assert {model.change.state for found in second.ablations for model in found.models} == {"identical"}
    assert [found.ran for found in first.ablations] == [found.stages for found in first.ablations]
    assert [found.ran for found in second.ablations] == [0, 0]
    assert "one and two: identical work, nothing re-run." in (nights.folder / "out" / "nightly.md").read_text()
    assert "0 of 9 stages to run" in nights.processes[1].stderr
    assert "0 of 13 stages to run" in nights.processes[1].stderr


@pytest.mark.slow
def test_work_that_the_ablations_share_is_done_once(nights: Nights) -> None:
    assert "13 stages to run" in nights.processes[0].stderr
    assert "5 of 13 stages to run" in nights.processes[0].stderr


@pytest.mark.slow
def test_a_kept_result_gives_the_score_of_the_report(nights: Nights) -> None:
    """An independent reading: plain means over the rows that were kept."""
    store, night = open_store(str(nights.folder / "root")), nights.kept[1]
    for found in night.ablations:
        rows = read_rows(store, "mini", night.night, found.name)
        for model in found.models:
            scores = [row.primary for row in rows if row.model == model.model and row.primary is not None]
            assert model.value == pytest.approx(sum(scores) / len(scores))


def dag(folder: Path, target: Target, **changes: Any) -> Any:
    """The compiled root DAG of the nightly on a target, and its components."""
    spec = load_nightly(write(folder))
    plans = [expand(resolve(load_ablation(Path(file)))) for file in spec.ablations]
    laid = [LaidAblation(plan.resolved.spec.name, plan.report.ref, plan.nodes) for plan in plans]
    layout = Layout(tuple(laid), str(folder), Runtime().model_dump_json(), target, spec)
    pipeline: Any = build_pipeline(REPOSITORY / "pipelines/nightly.py", replace(layout, **changes))
    return pipeline.pipeline_spec


def test_equal_work_is_one_step_and_the_comparison_waits_for_every_report(tmp_path: Path) -> None:
    tasks = dag(tmp_path, ThisMachine()).root.dag.tasks
    names = {task.task_info.name for task in tasks.values()}
    assert len(tasks) == 14 + 1
    assert {"one: prepare", "one: train plain/seed0", "two: train slow/seed0", "two: report"} <= names
    assert not {"two: prepare", "two: train plain/seed0"} & names
    compare = next(task for task in tasks.values() if task.component_ref.name == "comp-nightly")
    reports = {key for key, task in tasks.items() if task.component_ref.name.startswith("comp-report")}
    assert len(reports) == 2
    assert set(compare.dependent_tasks) == reports
    assert compare.caching_options.enable_cache is False


def test_on_a_cluster_the_page_follows_however_the_night_ended(tmp_path: Path) -> None:
    images = {"cpu": "assay/cpu:1", "train": "assay/train:1", "infer": "assay/infer:1"}
    spec = dag(tmp_path, KubernetesPods(ClusterSpec(), images))  # type: ignore[arg-type]
    tasks = spec.root.dag.tasks
    group = tasks["exit-handler-1"]
    inside = spec.components[group.component_ref.name].dag.tasks
    page = tasks["nightly-page"]
    assert set(tasks) == {"exit-handler-1", "nightly-page"}
    assert list(page.dependent_tasks) == ["exit-handler-1"]
    assert page.trigger_policy.strategy == page.trigger_policy.ALL_UPSTREAM_TASKS_COMPLETED
    assert page.caching_options.enable_cache is False
    assert len(inside) == 14 + 1
    assert str(tmp_path / "one.yaml") not in str(spec)


def test_two_ablations_of_one_name_are_refused(tmp_path: Path) -> None:
    laid = (LaidAblation("one", "a", ()), LaidAblation("one", "b", ()))
    with pytest.raises(SpecError, match="share a name"):
        dag(tmp_path, ThisMachine(), ablations=laid)


def test_the_pipeline_without_a_nightly_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="takes a nightly file"):
        dag(tmp_path, ThisMachine(), nightly=None)
