"""Stage *prepare*: tasks become prompts; preflight decides whether training can be trusted to mean anything.

    prompts.parquet     every prompt of every split, rendered and tokenised: what all later stages send
    digests.json        task -> digest of what the model sees (F05)
    probe.parquet       a few completions of the base model, with every verifier's verdict (F03)
    contamination.parquet    pairs of a held-out and a training question that share text

A failed check ends the stage before its manifest, so nothing downstream can run.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from assay.contracts.manifest import Finding
from assay.contracts.records import PromptRow, Verdict
from assay.contracts.seeds import derive
from assay.contracts.stage import PrepareStage
from assay.contracts.task import TaskSpec
from assay.evaluation.rescore import side_by_side
from assay.evaluation.tasks import EvaluationTask, evaluation_prompts
from assay.guards import acknowledged, preflight, require_passed
from assay.sampling.models import load_model, load_tokenizer, pick_device
from assay.sampling.requests import request_for
from assay.sampling.torch_engine import TorchSampler
from assay.stages.prepared import DIGESTS, PROMPTS
from assay.stages.work import Outcome, Work, entry
from assay.storage.tables import rows_to_parquet
from assay.tasks import Splits, moving_digests, prompt_rows, render, split_problems
from assay.tasks.contamination import Overlap, contamination
from assay.verifiers import VerifierPool

PROBE_PROMPTS = 64
"""Prompts of each task that the base model answers once in the preflight."""


@dataclass(frozen=True, slots=True)
class ProbeRow:
    """One preflight completion under the task's verifier and its views."""

    problem_id: str
    task: str
    text: str
    gold: str
    truncated: bool
    own: Verdict
    views: dict[str, Verdict]


def run(spec: PrepareStage, work: Work) -> Outcome:
    """Load, render, count; check; store. Raises PreflightError when a check failed."""
    require_passed([found for use in spec.tasks for found in preflight.verifier_ready(use.task)])
    tokenizer = load_tokenizer(spec.model)
    model = load_model(spec.model, pick_device(work.runtime))
    rows, dropped, findings = _render(spec, tokenizer)
    findings += _contamination(work, rows)
    sampler = TorchSampler(model, tokenizer, work.runtime.max_batch_sequences)
    findings += _probe(spec, work, rows, sampler)
    findings = acknowledged(findings, spec.acknowledge)
    require_passed(findings)
    digests = {use.task.name: use.task.prompt_digest(tokenizer.chat_template) for use in spec.tasks}
    work.artifact.write_bytes(PROMPTS, rows_to_parquet(rows, PromptRow))
    work.artifact.write_bytes(DIGESTS, json.dumps(digests, indent=1, sort_keys=True).encode())
    metrics = {f"prompts_{split}": float(count) for split, count in _split_sizes(rows).items()}
    metrics["parameters"] = float(sum(parameter.numel() for parameter in model.parameters()))
    return Outcome(metrics, dropped, tuple(findings))


def _render(
    spec: PrepareStage, tokenizer: PreTrainedTokenizerBase
) -> tuple[list[PromptRow], dict[str, int], list[Finding]]:
    rows: list[PromptRow] = []
    dropped: dict[str, int] = {}
    findings: list[Finding] = []
    for use in spec.tasks:
        splits = split_problems(use, spec.seed)
        task_rows, too_long = prompt_rows(use.task, splits, tokenizer)
        rows += task_rows
        findings += _static_checks(spec, use.task, task_rows, splits, too_long, tokenizer)
        dropped |= {f"{use.task.name}/{why}": count for why, count in (splits.dropped | too_long).items()}
    return rows, dropped, findings


def _static_checks(
    spec: PrepareStage,
    task: TaskSpec,
    rows: Sequence[PromptRow],
    splits: Splits,
    too_long: dict[str, int],
    tokenizer: PreTrainedTokenizerBase,
) -> list[Finding]:
    """Checks that need no model: F02, F03 (gold), F05, F17."""
    prompts = {row.id: row.prompt for row in rows}
    heldout = [row for row in rows if row.split == "heldout"]
    shown = evaluation_prompts(EvaluationTask(task, heldout, ""))
    rendered = {row.id: render(task, row, tokenizer, splits.shots) for row in rows}
    return [
        *preflight.chat_template(task, spec.model.kind, bool(tokenizer.chat_template)),
        *preflight.special_tokens(task, prompts.values(), tokenizer.all_special_tokens),
        *preflight.gold(task, [row.gold for row in rows]),
        *preflight.prompt_parity(task, rendered, shown),
        *preflight.dropped(f"task {task.name}", len(rows), too_long, spec.max_dropped_share),
        *preflight.moving_data(task, moving_digests(task.source)),
    ]


def _contamination(work: Work, rows: Sequence[PromptRow]) -> list[Finding]:
    """Checks held-out questions against the training questions of all tasks."""
    heldout = [row for row in rows if row.split == "heldout"]
    overlaps = contamination([row for row in rows if row.split == "train"], heldout)
    work.artifact.write_bytes("contamination.parquet", rows_to_parquet(overlaps, Overlap))
    ids = {task: [row.id for row in heldout if row.task == task] for task in dict.fromkeys(row.task for row in heldout)}
    return preflight.contaminated(ids, overlaps)


def _probe(spec: PrepareStage, work: Work, rows: Sequence[PromptRow], sampler: TorchSampler) -> list[Finding]:
    """Checks on what the base model writes: F02, F03, F11, F12, F19."""
    work.progress.begin(PROBE_PROMPTS * len(spec.tasks), "probe completions")
    table: list[ProbeRow] = []
    findings: list[Finding] = []
    with VerifierPool(work.runtime.verifier_workers) as pool:
        for use in spec.tasks:
            prompts = _probe_prompts(spec, use.task, rows)
            probes = _complete(spec, work, use.task, prompts, sampler)
            own, views = side_by_side(use.task, [(probe.text, probe.gold) for probe in probes], pool)
            findings += _probe_checks(use.task, probes, own, views)
            table += _probe_rows(use.task, probes, own, views)
    work.artifact.write_bytes("probe.parquet", rows_to_parquet(table, ProbeRow))
    return findings


def _probe_prompts(spec: PrepareStage, task: TaskSpec, rows: Sequence[PromptRow]) -> list[PromptRow]:
    """Training prompts in an order of their own, so that every level has its chance."""
    own = [row for row in rows if row.task == task.name and row.split == "train"]
    return sorted(own, key=lambda row: derive(spec.seed, "probe", row.id))[:PROBE_PROMPTS]


def _complete(
    spec: PrepareStage, work: Work, task: TaskSpec, prompts: Sequence[PromptRow], sampler: TorchSampler
) -> list[preflight.Probe]:
    requests = [request_for(row, task, spec.temperature, derive(spec.seed, "probe", row.id, 0)) for row in prompts]
    completions = sampler.generate(requests, lambda ended: work.progress.advance(len(ended)))
    return [
        preflight.Probe(row.id, row.prompt, completion.text, row.gold, completion.finish_reason)
        for row, completion in zip(prompts, completions, strict=True)
    ]


def _probe_checks(
    task: TaskSpec, probes: Sequence[preflight.Probe], own: Sequence[Verdict], views: Mapping[str, Sequence[Verdict]]
) -> list[Finding]:
    return [
        *preflight.garbage(task, probes),
        *preflight.acceptance(task, own, views),
        *preflight.token_budget(task, probes),
        *preflight.run_on(task, probes),
    ]


def _probe_rows(
    task: TaskSpec, probes: Sequence[preflight.Probe], own: Sequence[Verdict], views: Mapping[str, Sequence[Verdict]]
) -> list[ProbeRow]:
    by_view = [{name: verdicts[row] for name, verdicts in views.items()} for row in range(len(probes))]
    return [
        ProbeRow(probe.problem_id, task.name, probe.text, probe.gold, probe.finish_reason == "length", verdict, shown)
        for probe, verdict, shown in zip(probes, own, by_view, strict=True)
    ]


def _split_sizes(rows: Sequence[PromptRow]) -> dict[str, int]:
    splits = [row.split for row in rows]
    return {split: splits.count(split) for split in ("train", "validation", "heldout")}


main = entry(run)
