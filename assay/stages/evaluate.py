"""Stage *evaluate*: lm_eval on the base model, or on every exported checkpoint of one run.

    base/sums/samples.parquet, step-000040/sums/samples.parquet …    one row per completion, greedy and sampled
    …/lm_eval.json                                                   lm_eval's own aggregate results

A pair of model and task whose `samples.parquet` is stored is not evaluated again: by a resumed stage, or by the stage
that gathers what several pods shared.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import groupby, product

from transformers import PreTrainedTokenizerBase

from assay.contracts.ablation import ModelSpec
from assay.contracts.records import SampleRow
from assay.contracts.sampling import Sampler
from assay.contracts.stage import EvaluateStage
from assay.evaluation.run import evaluate
from assay.evaluation.tasks import EvaluationTask
from assay.sampling.agreement import probes
from assay.sampling.engines import Samplers, sampler_name
from assay.sampling.models import load_tokenizer
from assay.stages.part import WHOLE, Part
from assay.stages.prepared import prepared_digests, prepared_prompts
from assay.stages.work import Outcome, Work, entry
from assay.storage.tables import rows_from_parquet, rows_to_parquet
from assay.training.paths import checkpoint_name


def run(spec: EvaluateStage, work: Work) -> Outcome:
    """Evaluate every model of the spec on every task."""
    metrics: dict[str, float] = {}
    for name, samples in _evaluate(spec, work, WHOLE).items():
        metrics |= _metrics(name, samples)
    truncated = int(sum(value for name, value in metrics.items() if name.endswith("/truncated_completions")))
    dropped = {"truncated_completions": truncated} if truncated else {}
    return Outcome(metrics, dropped, environment={"sampler": sampler_name(work.runtime)})


def share(spec: EvaluateStage, work: Work, part: Part) -> None:
    """Evaluate and store a share of the pairs of model and task."""
    _evaluate(spec, work, part)


def _evaluate(spec: EvaluateStage, work: Work, part: Part) -> dict[str, list[SampleRow]]:
    """Folder name -> samples, of the pairs of model and task that are the part's."""
    models, tasks = _models(spec, work), _evaluation_tasks(spec, work)
    pairs = [pair for position, pair in enumerate(product(models, tasks)) if part.takes(position)]
    questions = sum(len(task.rows) for _, task in pairs)
    work.progress.begin(questions * (1 + spec.evaluation.samples_per_prompt), "completions")
    heldout, rules = [row for task in tasks for row in task.rows], {task.name: task for task in spec.tasks}
    samplers = Samplers(work.runtime, spec.evaluation.tensor_parallel, probes(heldout, rules))
    samples: dict[str, list[SampleRow]] = {}
    for name, wanted in groupby(pairs, key=lambda pair: pair[0]):
        model = models[name]
        samples[name] = list(_of_model(spec, work, name, model, [task for _, task in wanted], samplers))
    return samples


def _of_model(
    spec: EvaluateStage,
    work: Work,
    name: str,
    model: ModelSpec,
    tasks: Sequence[EvaluationTask],
    samplers: Samplers,
) -> Iterator[SampleRow]:
    """The samples of one model, task after task; the model is loaded when the first task needs it."""
    stored = {info.path for info in work.artifact.list(name)}
    ask = cache(lambda: (samplers.of(model), load_tokenizer(model)))
    for task in tasks:
        folder = f"{name}/{task.spec.name}"
        if f"{folder}/samples.parquet" in stored:
            samples = rows_from_parquet(work.artifact.read_bytes(f"{folder}/samples.parquet"), SampleRow)
            work.progress.advance(len(samples))
        else:
            samples = _run_lm_eval(spec, work, folder, task, *ask())
        yield from samples


def _run_lm_eval(
    spec: EvaluateStage,
    work: Work,
    folder: str,
    task: EvaluationTask,
    sampler: Sampler,
    tokenizer: PreTrainedTokenizerBase,
) -> list[SampleRow]:
    name = folder.partition("/")[0]
    result = evaluate(
        sampler,
        tokenizer,
        [task],
        spec.evaluation,
        seed=spec.seed,
        model_name="base" if spec.export is None else f"{spec.label}/{name}",
        progress=lambda ended: work.progress.advance(len(ended)),
    )
    work.artifact.write_bytes(f"{folder}/lm_eval.json", json.dumps(result.lm_eval_results, indent=1).encode())
    work.artifact.write_bytes(f"{folder}/samples.parquet", rows_to_parquet(result.samples, SampleRow))
    return result.samples


def _evaluation_tasks(spec: EvaluateStage, work: Work) -> list[EvaluationTask]:
    prepare = work.input(spec.prepare)
    heldout, digests = prepared_prompts(prepare, "heldout"), prepared_digests(prepare)
    return [
        EvaluationTask(task, [row for row in heldout if row.task == task.name], digests[task.name])
        for task in spec.tasks
    ]


def _models(spec: EvaluateStage, work: Work) -> dict[str, ModelSpec]:
    """Folder name -> model. Exported checkpoints are fetched to this machine."""
    if spec.export is None:
        return {"base": spec.model}
    export = work.input(spec.export)
    steps = json.loads(export.read_bytes("exports.json"))["steps"]
    return {
        checkpoint_name(step): spec.model.model_copy(update={"path": str(export.fetch_tree(checkpoint_name(step)))})
        for step in steps
    }


def _metrics(name: str, samples: list[SampleRow]) -> dict[str, float]:
    truncated = sum(sample.finish_reason == "length" for sample in samples)
    return {f"{name}/completions": float(len(samples)), f"{name}/truncated_completions": float(truncated)}


main = entry(run, share)
