"""What one ablation found tonight, read from the store: scores, every question's result, or why there is no report."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from assay.contracts.base import identity
from assay.contracts.manifest import Manifest
from assay.contracts.nightly import Change, NightAblation, NightModel, NightRow, NightRun
from assay.contracts.records import ScoredRow
from assay.contracts.stage import ReportStage
from assay.contracts.summary import Summary
from assay.guards.findings import ended_run
from assay.plan.expand import Plan, expand
from assay.plan.inputs import read_ablation
from assay.reporting.results import BASE, PRIMARY
from assay.reporting.scores import by_question, judged, question_metrics
from assay.reporting.settings import flat
from assay.reporting.summary_io import load_summary
from assay.stages.attempts import remembered
from assay.stages.prepared import prepared_digests
from assay.storage.artifacts import Artifact, artifact_at
from assay.storage.store import Store
from assay.storage.tables import rows_from_parquet
from assay.training.paths import checkpoint_name

SHOWN_REASONS = 3
"""Failed stages told of by name; the others are counted."""

Manifests = Mapping[str, Manifest | None]


def measure(path: str, store: Store, run: str, since: datetime | None) -> tuple[NightAblation, list[NightRow]]:
    """An ablation tonight, not compared with anything yet. `path` is where it lies in the store; stages that ended
    after `since` ran tonight."""
    plan = expand(read_ablation(path, store))
    manifests = {node.name: artifact_at(store, node.ref).manifest() for node in plan.nodes}
    committed = [manifest for manifest in manifests.values() if manifest is not None]
    report = manifests[plan.report.name]
    found = NightAblation(
        name=plan.resolved.spec.name,
        report=plan.report.ref,
        uri=artifact_at(store, plan.report.ref).uri,
        reported=report is not None,
        stages=len(plan.nodes),
        ran=sum(since is None or ended(manifest) > since for manifest in committed),
        data_digests=plan.resolved.data_digests,
        settings=flat({**identity(plan.resolved.spec), "environment": plan.resolved.environment}),
    )
    if report is None:
        return found.model_copy(update={"reason": _reason(plan, store, manifests, run)}), []
    return found.model_copy(update=_told(plan, store, report, manifests)), list(_rows(_spec(plan), store))


def ended(manifest: Manifest) -> datetime:
    """When a stage was done."""
    return datetime.fromisoformat(manifest.started_at) + timedelta(seconds=manifest.seconds)


def _spec(plan: Plan) -> ReportStage:
    spec = plan.report.spec
    assert isinstance(spec, ReportStage), "the report is the last node"
    return spec


def _told(plan: Plan, store: Store, report: Manifest, manifests: Manifests) -> dict[str, Any]:
    """What the committed report says."""
    summary = load_summary(artifact_at(store, plan.report.ref).read_bytes("summary.json").decode())
    started = {node.ref: manifest.started_at for node in plan.nodes if (manifest := manifests[node.name]) is not None}
    return {
        "verdict": summary.verdict,
        "metric": summary.primary_metric,
        "prompt_digests": prepared_digests(artifact_at(store, _spec(plan).prepare)),
        "models": tuple(_model(name, summary, _spec(plan), started) for name in summary.pooled),
        "guards": tuple(f"{f.where}: {f.message}" for f in report.findings if ended_run(f)),
    }


def _model(name: str, summary: Summary, spec: ReportStage, started: Mapping[str, str]) -> NightModel:
    """One model as the report shows it. A report is committed after all it needs, so every start is known."""
    shown = summary.pooled[name].metrics[summary.primary_metric]
    runs = [(run.seed, run.rescore) for run in spec.runs if run.arm == name] or [(0, spec.base_rescore)]
    return NightModel(
        model=name,
        value=shown.value,
        ci_low=shown.ci_low,
        ci_high=shown.ci_high,
        questions=shown.n,
        runs=tuple(NightRun(seed=seed, rescore=ref, started_at=started[ref]) for seed, ref in runs),
        change=Change(state="first"),
    )


def _rows(spec: ReportStage, store: Store) -> Iterator[NightRow]:
    """Every question under the base model and under each run's chosen checkpoint."""
    row = _row_maker(spec)
    for question, answers in _answers(store, spec.base_rescore, BASE):
        yield row(question, answers, model=BASE, seed=0, step=0)
    for run in spec.runs:
        step = json.loads(artifact_at(store, run.export).read_bytes("exports.json"))["chosen"]
        for question, answers in _answers(store, run.rescore, checkpoint_name(step)):
            yield row(question, answers, model=run.arm, seed=run.seed, step=step)


def _answers(store: Store, rescore: str, model: str) -> Iterable[tuple[str, list[ScoredRow]]]:
    """Question -> its scored answers under one model, over all tasks."""
    artifact = artifact_at(store, rescore)
    files = [info.path for info in artifact.list(model) if info.path.endswith("/scored.parquet")]
    rows = [row for file in files for row in rows_from_parquet(artifact.read_bytes(file), ScoredRow)]
    return by_question(rows).items()


def _row_maker(spec: ReportStage) -> Callable[..., NightRow]:
    verifiers = [use.task.verifier for use in spec.ablation.tasks]
    metrics = question_metrics(verifiers, spec.ablation.evaluation.samples_per_prompt)

    def make(question: str, answers: list[ScoredRow], **model: Any) -> NightRow:
        sampled = [row.own for row in answers if row.sample.mode == "sampled"]
        return NightRow(
            task=answers[0].sample.task,
            problem_id=question,
            level=answers[0].sample.level,
            primary=_number(metrics[PRIMARY](answers)),
            sampled=len(judged(sampled)),
            correct=sum(score == 1.0 for score in judged(sampled)),
            greedy=_number(metrics["greedy"](answers)),
            **model,
        )

    return make


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _reason(plan: Plan, store: Store, manifests: Manifests, run: str) -> str:
    """The stages that could have run and are not done, with what they said."""
    stuck = [
        node
        for node in plan.nodes
        if manifests[node.name] is None and all(manifests[name] is not None for name in node.needs)
    ]
    told = [f"{node.name}: {_why(artifact_at(store, node.ref), run)}" for node in stuck[:SHOWN_REASONS]]
    more = len(stuck) - SHOWN_REASONS
    return "; ".join([*told, f"and {more} more stages"] if more > 0 else told)


def _why(artifact: Artifact, run: str) -> str:
    failure = remembered(artifact, run)
    return " ".join(str(failure).split()).rstrip(".") if failure else "did not finish"
