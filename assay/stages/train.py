"""Stage *train*: GRPO for one arm and one seed.

checkpoints/step-000020/model.safetensors    the policy every so many steps
trace/*.parquet, metrics/*.parquet           every completion, every metric
tensorboard/                                 the metrics, for the usual tool
run.json                                     how it ended: steps, validation accuracy per checkpoint, device
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import torch

from assay.contracts.stage import TrainStage
from assay.curriculum.estimate import PassRate
from assay.curriculum.schedule import filter_prompts, make_schedule
from assay.guards import RunRecord, training_health
from assay.sampling.models import load_model, load_tokenizer, pick_device
from assay.sampling.torch_engine import TorchSampler
from assay.stages.judges import judge_costs
from assay.stages.prepared import prepared_prompts
from assay.stages.work import Outcome, Work, entry
from assay.storage.tables import rows_from_parquet
from assay.training.checkpoint import require_checkpoint
from assay.training.history import read_traces
from assay.training.loop import GRPOTrainer, Report, RunIdentity, TrainResult
from assay.training.policy import Policy
from assay.training.rollout import RolloutCollector
from assay.verifiers import VerifierPool


@dataclass(frozen=True, slots=True)
class RunEnd:
    """`run.json`."""

    steps_done: int
    stopped: bool
    resumed_from_step: int
    validation: dict[str, float]
    """Checkpoint step (as JSON key) -> validation accuracy."""
    device: str
    devices: int
    train_seconds: float
    """Of all attempts; of one that was killed, up to its newest checkpoint."""


def run(spec: TrainStage, work: Work) -> Outcome:
    """Train, or continue a killed run; then check that the last checkpoint can be read back (F18)."""
    torch.use_deterministic_algorithms(True, warn_only=True)
    device = pick_device(work.runtime)
    parts = [part.verifier for part in spec.train.reward_weights.values() if part.kind == "verifier"]
    verifiers = [*(task.verifier for task in spec.tasks), *parts]
    with VerifierPool(work.runtime.verifier_workers) as pool, judge_costs(verifiers) as costs:
        pool.start(verifiers)
        result = _trainer(spec, work, pool, device).run(_reporter(spec, work))
    require_checkpoint(work.artifact, result.steps_done)
    record = RunEnd(
        steps_done=result.steps_done,
        stopped=result.stopped,
        resumed_from_step=result.resumed_from_step,
        validation={str(step): value for step, value in result.validation.items()},
        device=device.type,
        devices=1,
        train_seconds=result.seconds,
    )
    work.artifact.write_bytes("run.json", json.dumps(asdict(record), indent=1, sort_keys=True).encode())
    validation_problems = len(prepared_prompts(work.input(spec.prepare), "validation"))
    health = RunRecord(spec.label, spec.train, result.metrics, read_traces(work.artifact), validation_problems)
    findings = [*result.findings, *training_health(health)]
    dropped = _unused_prompts(spec, work) | _failed_completions(result)
    metrics = _final_metrics(result) | costs
    return Outcome(metrics, {name: count for name, count in dropped.items() if count}, tuple(findings))


def _trainer(spec: TrainStage, work: Work, pool: VerifierPool, device: torch.device) -> GRPOTrainer:
    prepare = work.input(spec.prepare)
    model, tokenizer = load_model(spec.model, device), load_tokenizer(spec.model)
    optimizer = spec.train.optimizer
    policy = Policy(model, optimizer, spec.train.temperature, spec.train.micro_batch_tokens)
    sampler = TorchSampler(model, tokenizer, work.runtime.max_batch_sequences)
    collector = RolloutCollector(sampler, pool, {task.name: task for task in spec.tasks}, spec.train, spec.seed)
    schedule = make_schedule(prepared_prompts(prepare, "train"), _rates(spec, work), spec.train, spec.seed)
    arm = spec.label.rpartition("/")[0]
    return GRPOTrainer(
        RunIdentity(arm, spec.seed),
        spec.train,
        policy,
        collector,
        schedule,
        prepared_prompts(prepare, "validation"),
        work.artifact,
    )


def _rates(spec: TrainStage, work: Work) -> dict[str, PassRate] | None:
    if spec.curriculum is None:
        return None
    rows = rows_from_parquet(work.input(spec.curriculum).read_bytes("passrates.parquet"), PassRate)
    return {row.problem_id: row for row in rows}


def _reporter(spec: TrainStage, work: Work) -> Report:
    work.progress.begin(spec.train.steps, "steps")

    def report(done: int, metrics: dict[str, float]) -> None:
        length = metrics["completion_tokens_mean"]
        note = f"reward {metrics['reward_mean']:.3f}  KL {metrics['kl']:.4f}  {length:.0f} tokens"
        work.progress.advance(done - work.progress.done, note)

    return report


def _final_metrics(result: TrainResult) -> dict[str, float]:
    """The last step's metrics, and the best validation accuracy."""
    last = result.metrics[max(result.metrics)]
    kept = {name: value for name, value in last.items() if value == value and abs(value) != float("inf")}
    return kept | {"steps_done": float(result.steps_done), "validation_accuracy_best": max(result.validation.values())}


def _unused_prompts(spec: TrainStage, work: Work) -> dict[str, int]:
    """Training prompts that the arm's own bounds leave out (F17)."""
    prompts = prepared_prompts(work.input(spec.prepare), "train")
    kept = filter_prompts(prompts, _rates(spec, work), spec.train.prompts)
    return {"prompts_outside_pass_rates": len(prompts) - len(kept)}


def _failed_completions(result: TrainResult) -> dict[str, int]:
    """Completions that were cut short or could not be judged, over all steps."""
    shares = {"truncated_completions": "truncated_share", "verifier_failed": "verifier_failed_share"}
    return {
        name: round(sum(step[share] * step["samples"] for step in result.metrics.values()))
        for name, share in shares.items()
    }


main = entry(run)
