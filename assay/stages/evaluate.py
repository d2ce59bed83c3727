"""Stage *evaluate*: lm_eval on the base model, or on every exported checkpoint of one run.

    base/samples.parquet, step-000040/samples.parquet …    one row per completion, greedy and sampled
    …/lm_eval.json                                         lm_eval's own aggregate results

A model whose `samples.parquet` is stored is not evaluated again by a resumed stage.
"""

from __future__ import annotations

import json

import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.records import SampleRow
from assay.contracts.stage import EvaluateStage
from assay.evaluation.run import EvaluationResult, evaluate
from assay.evaluation.tasks import EvaluationTask
from assay.sampling.models import load_model, load_tokenizer, pick_device
from assay.sampling.torch_engine import TorchSampler
from assay.stages.prepared import prepared_digests, prepared_prompts
from assay.stages.work import Outcome, Work, entry
from assay.storage.tables import rows_from_parquet, rows_to_parquet
from assay.training.paths import checkpoint_name


def run(spec: EvaluateStage, work: Work) -> Outcome:
    """Evaluate every model of the spec."""
    tasks = _evaluation_tasks(spec, work)
    models = _models(spec, work)
    device = pick_device(work.runtime)
    questions = sum(len(task.rows) for task in tasks)
    work.progress.begin(len(models) * questions * (1 + spec.evaluation.samples_per_prompt), "completions")
    metrics: dict[str, float] = {}
    for name, model in models.items():
        metrics |= _evaluate_model(spec, work, tasks, name, model, device)
    truncated = int(sum(value for name, value in metrics.items() if name.endswith("/truncated_completions")))
    return Outcome(metrics, {"truncated_completions": truncated} if truncated else {})


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


def _evaluate_model(
    spec: EvaluateStage, work: Work, tasks: list[EvaluationTask], name: str, model: ModelSpec, device: torch.device
) -> dict[str, float]:
    path = f"{name}/samples.parquet"
    if path in {info.path for info in work.artifact.list(name)}:
        samples = rows_from_parquet(work.artifact.read_bytes(path), SampleRow)
        work.progress.advance(len(samples))
    else:
        result = _run_lm_eval(spec, work, tasks, name, model, device)
        work.artifact.write_bytes(f"{name}/lm_eval.json", json.dumps(result.lm_eval_results, indent=1).encode())
        work.artifact.write_bytes(path, rows_to_parquet(result.samples, SampleRow))
        samples = result.samples
    return _metrics(name, samples)


def _run_lm_eval(
    spec: EvaluateStage, work: Work, tasks: list[EvaluationTask], name: str, model: ModelSpec, device: torch.device
) -> EvaluationResult:
    tokenizer = load_tokenizer(model)
    sampler = TorchSampler(load_model(model, device), tokenizer, work.runtime.max_batch_sequences)
    label = "base" if spec.export is None else f"{spec.label}/{name}"
    return evaluate(
        sampler,
        tokenizer,
        tasks,
        spec.evaluation,
        seed=spec.seed,
        model_name=label,
        progress=work.progress.advance,
    )


def _metrics(name: str, samples: list[SampleRow]) -> dict[str, float]:
    truncated = sum(sample.finish_reason == "length" for sample in samples)
    return {f"{name}/completions": float(len(samples)), f"{name}/truncated_completions": float(truncated)}


main = entry(run)
