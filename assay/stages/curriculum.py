"""Stage *curriculum*: n verified completions of the base model for every training prompt, and what they say.

shards/00000.parquet …    every completion
passrates.parquet         (n, c) per prompt
passk.json                unbiased pass@k with intervals, overall and by task
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from assay.contracts.records import PromptRow
from assay.contracts.stage import CurriculumStage
from assay.curriculum.estimate import CurriculumSample, CurriculumSampler, PassRate, pass_rates
from assay.plan.checks import curriculum_rows
from assay.sampling.agreement import probes
from assay.sampling.engines import Samplers, sampler_name
from assay.stages.judges import judge_costs
from assay.stages.part import WHOLE, Part
from assay.stages.prepared import prepared_prompts
from assay.stages.work import Outcome, Work, entry
from assay.statistics.passk import pass_at_k_curve
from assay.storage import fetch_uri
from assay.storage.tables import rows_to_parquet
from assay.tasks.ids import require_known
from assay.verifiers import VerifierPool


def run(spec: CurriculumStage, work: Work) -> Outcome:
    """Sample, verify, estimate."""
    prompts = prepared_prompts(work.input(spec.prepare), "train")
    measured = spec.curriculum.file
    with judge_costs(task.verifier for task in spec.tasks) as costs:
        rates = pass_rates(_sample(spec, work, WHOLE)) if measured is None else _read(measured, prompts)
    work.artifact.write_bytes("passrates.parquet", rows_to_parquet(rates, PassRate))
    samples = spec.curriculum.samples_per_prompt if spec.curriculum.file is None else min(rate.n for rate in rates)
    curves = pass_at_k_table(rates, samples)
    work.artifact.write_bytes("passk.json", json.dumps(curves, indent=1, sort_keys=True).encode())
    dropped = {
        "verifier_failed": sum(rate.failed for rate in rates),
        "truncated_completions": sum(rate.truncated for rate in rates),
    }
    written_by = {} if measured else {"sampler": sampler_name(work.runtime)}
    figures = curriculum_metrics(rates, curves["all"]) | costs
    return Outcome(figures, {name: n for name, n in dropped.items() if n}, environment=written_by)


def curriculum_metrics(rates: Sequence[PassRate], curve: Sequence[dict[str, float]]) -> dict[str, float]:
    """The stage in figures, with the ends of the pass@k curve of all prompts; it is empty if none has all verdicts."""
    return {
        "prompts": float(len(rates)),
        "completions": float(sum(rate.n + rate.failed for rate in rates)),
        "unsolved_share": float(np.mean([rate.rate == 0 for rate in rates])),
        "always_solved_share": float(np.mean([rate.rate == 1 for rate in rates])),
        **{f"pass_at_{point['k']}": point["value"] for point in (*curve[:1], *curve[-1:])},
    }


def share(spec: CurriculumStage, work: Work, part: Part) -> None:
    """Sample and store a share of the shards."""
    if spec.curriculum.file is None:
        _sample(spec, work, part)


def _sample(spec: CurriculumStage, work: Work, part: Part) -> list[CurriculumSample]:
    prompts = prepared_prompts(work.input(spec.prepare), "train")
    tasks = {task.name: task for task in spec.tasks}
    sampler = Samplers(work.runtime, work.runtime.vllm.tensor_parallel, probes(prompts, tasks)).of(spec.model)
    work.progress.begin(len(prompts) * spec.curriculum.samples_per_prompt // part.count, "completions")
    with VerifierPool(work.runtime.verifier_workers) as pool:
        pool.start(task.verifier for task in spec.tasks)
        runner = CurriculumSampler(sampler, pool, tasks, spec.curriculum, spec.seed, work.artifact)
        return runner.run(prompts, work.progress.advance, part.takes)


def _read(file: str, prompts: Sequence[PromptRow]) -> list[PassRate]:
    """Pass rates measured earlier. Raises DataError for ids that the data lacks (F06)."""
    known = {prompt.id: prompt for prompt in prompts}
    rows = curriculum_rows(fetch_uri(file))
    require_known([problem_id for problem_id, _, _ in rows], known, file)
    named = [(known[problem_id], n, c) for problem_id, n, c in rows]
    return [PassRate(prompt.id, prompt.task, prompt.level, n, c, failed=0, truncated=0) for prompt, n, c in named]


def pass_at_k_table(rates: Sequence[PassRate], n: int) -> dict[str, list[dict[str, float]]]:
    """pass@k for k = 1, 2, 4 … n, over all prompts and by task (F27). A prompt counts once it has n verdicts."""
    ks = [k for k in (2**power for power in range(12)) if k <= n]
    groups = {"all": list(rates)} | {task: [rate for rate in rates if rate.task == task] for task in _tasks(rates)}
    return {name: _curve([rate for rate in group if rate.n >= n], ks) for name, group in groups.items()}


def _tasks(rates: Sequence[PassRate]) -> list[str]:
    return list(dict.fromkeys(rate.task for rate in rates))


def _curve(rates: Sequence[PassRate], ks: Sequence[int]) -> list[dict[str, float]]:
    if not rates:
        return []
    counts_Q = np.array([rate.n for rate in rates]), np.array([rate.c for rate in rates])
    return [{"k": k} | asdict(estimate) for k, estimate in zip(ks, pass_at_k_curve(*counts_Q, ks), strict=True)]


main = entry(run, share)
