"""Stage *train*: GRPO for one arm and one seed.

checkpoints/step-000020/model.safetensors    the policy every so many steps
trace/*.parquet, metrics/*.parquet           every completion, every metric
tensorboard/                                 the metrics, for the usual tool
run.json                                     how it ended: steps, validation accuracy, rollbacks, device
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

import torch

from assay.contracts.manifest import Finding
from assay.contracts.scale import Rank
from assay.contracts.stage import TrainStage
from assay.curriculum.estimate import PassRate
from assay.curriculum.schedule import filter_prompts, make_schedule
from assay.guards import RunRecord, training_health
from assay.sampling.agreement import probes, score_with
from assay.sampling.engines import sampler_name, training_sampler
from assay.sampling.models import load_model, load_tokenizer, pick_device
from assay.stages.judges import judge_costs
from assay.stages.prepared import prepared_prompts
from assay.stages.work import Outcome, Work, entry, entry_beside
from assay.storage.tables import rows_from_parquet
from assay.training.checkpoint import require_checkpoint, stored_checkpoints
from assay.training.critic import critic_for
from assay.training.engines import make_policy, prepare, training_world
from assay.training.history import read_traces
from assay.training.invariants import check_prompts, check_special_tokens, special_tokens
from assay.training.loop import GRPOTrainer, Report, TrainResult
from assay.training.producer import Producer
from assay.training.record import RunIdentity
from assay.training.rollback import Rollback
from assay.training.rollout import RolloutCollector
from assay.training.selection import planned_checkpoints
from assay.training.shared import SharedCollector
from assay.training.trackers import Told, Trackers
from assay.training.world import World
from assay.verifiers import VerifierPool


@dataclass(frozen=True, slots=True)
class RunEnd:
    """`run.json`."""

    steps_done: int
    stopped: bool
    resumed_from_step: int
    validation: dict[str, float]
    """Step (as JSON key) -> validation accuracy; absent where no completion could be judged."""
    rollbacks: list[Rollback]
    """Times the run went back to an earlier checkpoint, the learning rate halved each time."""
    deleted_checkpoints: list[int]
    """Steps whose weights `keep_checkpoints` did not keep."""
    tracker_failures: dict[str, int]
    """Tracker -> steps it could not be told of."""
    sampler: str
    """`torch`, or `vllm` with its version."""
    device: str
    devices: int
    """Processes, one for each accelerator."""
    zero_stage: int
    """What they shared out: docs/how-to/scale.md."""
    scale: dict[str, Any]
    """`runtime.scale` as it was."""
    train_seconds: float
    """Of all attempts; of one that was killed, up to its newest checkpoint."""


def run(spec: TrainStage, work: Work) -> Outcome:
    """Train, or continue a killed run; then check that the last checkpoint can be read back (F18).

    Of several processes the first tells and writes; the others are done when training is.
    """
    torch.use_deterministic_algorithms(True, warn_only=True)
    device, leads = pick_device(work.runtime), Rank.from_environment().leads
    parts = [part.verifier for part in spec.train.reward_weights.values() if part.kind == "verifier"]
    verifiers = [*(task.verifier for task in spec.tasks), *parts]
    with (
        Trackers(work.runtime.trackers if leads else (), _told(spec, work)) as trackers,
        VerifierPool(work.runtime.verifier_workers) as pool,
        judge_costs(verifiers) as costs,
        training_world(spec.train.engine, work.runtime.scale, device) as world,
    ):
        pool.start(verifiers)
        result = _trainer(spec, work, pool, device, world).run(_reporter(spec, work, trackers), trackers.log_all)
    if not leads:
        return Outcome()
    require_checkpoint(work.artifact, result.steps_done)
    record = _run_end(spec, work, result, trackers, device)
    work.artifact.write_bytes("run.json", json.dumps(asdict(record), indent=1, sort_keys=True).encode())
    findings = [*result.findings, *trackers.findings(spec.label), *_health(spec, work, result)]
    dropped = _unused_prompts(spec, work) | _failed_completions(result)
    metrics = _final_metrics(result) | costs
    return Outcome(metrics, {name: count for name, count in dropped.items() if count}, tuple(findings))


def _run_end(spec: TrainStage, work: Work, result: TrainResult, trackers: Trackers, device: torch.device) -> RunEnd:
    stored = stored_checkpoints(work.artifact)
    written = [step for step in planned_checkpoints(spec.train) if step <= result.steps_done]
    return RunEnd(
        steps_done=result.steps_done,
        stopped=result.stopped,
        resumed_from_step=result.resumed_from_step,
        validation={str(step): value for step, value in result.validation.items()},
        rollbacks=result.rollbacks,
        deleted_checkpoints=[step for step in written if step not in stored],
        tracker_failures=trackers.failures(),
        sampler=sampler_name(work.runtime),
        device=device.type,
        devices=Rank.from_environment().of,
        zero_stage=work.runtime.scale.stage(spec.train.engine.dtype),
        scale=work.runtime.scale.model_dump(),
        train_seconds=result.seconds,
    )


def _health(spec: TrainStage, work: Work, result: TrainResult) -> list[Finding]:
    validation_problems = len(prepared_prompts(work.input(spec.prepare), "validation"))
    traces = read_traces(work.artifact)
    return training_health(RunRecord(spec.label, spec.train, result.metrics, traces, validation_problems))


def _trainer(spec: TrainStage, work: Work, pool: VerifierPool, device: torch.device, world: World) -> GRPOTrainer:
    prepared, tasks, scale = work.input(spec.prepare), {task.name: task for task in spec.tasks}, work.runtime.scale
    prompts, validation = prepared_prompts(prepared, "train"), prepared_prompts(prepared, "validation")
    model, tokenizer = load_model(spec.model, device), load_tokenizer(spec.model)
    model = prepare(model, spec.train.engine, scale)
    check_prompts([*prompts, *validation], tokenizer)
    check_special_tokens([*prompts, *validation], tasks, special_tokens(tokenizer), tokenizer.bos_token_id)
    critic = critic_for(spec.train, model)
    lag = spec.train.rollout.max_staleness_steps
    sampler = training_sampler(spec.model, model, tokenizer, spec.train, work.runtime, probes(prompts, tasks))
    policy = make_policy(model, spec.train, scale, world)
    collector = SharedCollector(RolloutCollector(sampler, pool, tasks, spec.train, spec.seed), world)
    schedule = make_schedule(prompts, _rates(spec, work), spec.train, spec.seed)
    score = score_with(model)
    producer = Producer(
        collector, sampler, schedule, policy.named_weights, score, spec.train.steps, lag, spec.train.prompts
    )
    identity = RunIdentity(work.artifact.key, _arm(spec), spec.seed)
    return GRPOTrainer(identity, spec.train, policy, producer, validation, work.artifact, critic)


def _arm(spec: TrainStage) -> str:
    return spec.label.rpartition("/")[0]


def _told(spec: TrainStage, work: Work) -> Told:
    return Told(work.artifact.key, _arm(spec), spec.seed, spec.train.model_dump(mode="json"))


def _rates(spec: TrainStage, work: Work) -> dict[str, PassRate] | None:
    if spec.curriculum is None:
        return None
    rows = rows_from_parquet(work.input(spec.curriculum).read_bytes("passrates.parquet"), PassRate)
    return {row.problem_id: row for row in rows}


def _reporter(spec: TrainStage, work: Work, trackers: Trackers) -> Report:
    work.progress.begin(spec.train.steps, "steps")

    def report(done: int, metrics: dict[str, float]) -> None:
        length = metrics["completion_tokens_mean"]
        note = f"reward {metrics['reward_mean']:.3f}  KL {metrics['kl']:.4f}  {length:.0f} tokens"
        work.progress.advance(done - work.progress.done, note)
        trackers.log(done - 1, metrics)

    return report


def _final_metrics(result: TrainResult) -> dict[str, float]:
    """The last step's metrics, and the best validation accuracy."""
    last = result.metrics[max(result.metrics)]
    kept = {name: value for name, value in last.items() if value == value and abs(value) != float("inf")}
    best = {"validation_accuracy_best": max(result.validation.values())} if result.validation else {}
    return kept | best | {"steps_done": float(result.steps_done)}


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
beside = entry_beside(run)
