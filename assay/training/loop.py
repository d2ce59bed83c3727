"""The GRPO loop: select prompts, sample, score, update, watch, record, checkpoint.

    step s:  groups = schedule.select(s)
             rollouts = sample and verify                        (assay.training.rollout)
             old, ref = log-probs before the update              (assay.training.policy)
             advantages, clipped loss, AdamW                     (assay.training.update)
             metrics -> guards: warn or stop                     (assay.guards.rules)
    every validate_every_steps: validation accuracy; every checkpoint_every_steps: a checkpoint that resumes exactly.

Left out on purpose: asynchronous sampling. Rollouts are of the very policy that learns from them, so staleness is 0.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

from assay.contracts.errors import InvariantError
from assay.contracts.manifest import Finding
from assay.contracts.records import PromptRow, TraceRow
from assay.contracts.schedule import Allocation, PromptSchedule
from assay.contracts.training import TrainSpec
from assay.guards.rules import Guards
from assay.guards.trends import Trends
from assay.storage.artifacts import Artifact
from assay.training.checkpoint import load_checkpoint, save_checkpoint
from assay.training.credit import Credit, StepBatch, assign_credit, reward_spread
from assay.training.critic import Critic
from assay.training.history import read_metrics
from assay.training.metrics import kl_metrics, mismatch_metrics, rollout_metrics
from assay.training.policy import Policy
from assay.training.record import Recorder, write_tensorboard
from assay.training.rollout import Rollout, RolloutCollector
from assay.training.update import update_policy

VALIDATION_SAMPLES = 4
STEP0_KL_TOLERANCE = 1e-3

Report = Callable[[int, dict[str, float]], None]
"""Called after every step with the number of steps done and the step's metrics."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Who a trace row belongs to."""

    arm: str
    seed: int


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended. `validation` maps a checkpoint's step to its accuracy."""

    steps_done: int
    seconds: float
    """Spent on it by all attempts; of one that was killed, up to its newest checkpoint."""
    stopped: bool
    resumed_from_step: int
    validation: dict[int, float]
    findings: list[Finding]
    metrics: dict[int, dict[str, float]]


class GRPOTrainer:
    """One run: one arm, one seed."""

    def __init__(
        self,
        identity: RunIdentity,
        spec: TrainSpec,
        policy: Policy,
        collector: RolloutCollector,
        schedule: PromptSchedule,
        validation: Sequence[PromptRow],
        artifact: Artifact,
        critic: Critic | None = None,
    ) -> None:
        self.identity = identity
        self.spec = spec
        self.policy = policy
        self.critic = critic
        self.collector = collector
        self.schedule = schedule
        self.validation_prompts = validation
        self.artifact = artifact
        self.guards = Guards(spec.guards, label=f"{identity.arm}/seed{identity.seed}")
        self.trends = Trends(len(validation))
        self.token_budget = max(task.max_completion_tokens for task in collector.tasks.values())
        self.validation: dict[int, float] = {}
        self.findings: list[Finding] = []
        self.begun_s = 0.0

    def run(self, report: Report) -> TrainResult:
        """Train to the last step or until a guard stops the run; continues from the newest checkpoint."""
        self.begun_s = time.monotonic()
        start, stopped = self._resume()
        recorder = Recorder(self.artifact, start)
        done = start
        while done < self.spec.steps and not stopped:
            metrics, traces = self._step(done)
            done += 1
            if self._due(done, self.spec.validate_every_steps):
                metrics["validation_accuracy"] = self.validation[done] = self._validate()
            metrics |= self.trends.observe(metrics)
            stopped = self._guard(done - 1, metrics)
            if stopped and done not in self.validation:
                metrics["validation_accuracy"] = self.validation[done] = self._validate()
            recorder.add(done - 1, metrics, traces)
            if self._due(done, self.spec.checkpoint_every_steps) or stopped:
                self._checkpoint(recorder, done, stopped)
            report(done, metrics)
        return TrainResult(
            done, self._seconds(), stopped, start, self.validation, self.findings, read_metrics(self.artifact)
        )

    def _seconds(self) -> float:
        return time.monotonic() - self.begun_s

    def _due(self, done: int, every: int) -> bool:
        return done % every == 0 or done == self.spec.steps

    def _resume(self) -> tuple[int, bool]:
        """(steps already done, whether a guard had stopped the run)."""
        found = load_checkpoint(self.artifact, self.policy, self.critic)
        if found is None:
            return 0, False
        self.begun_s -= found.state["seconds"]
        self.schedule.restore(found.state["schedule"])
        self.guards.restore(found.state["guards"])
        self.trends.restore(found.state["trends"])
        self.validation = {int(step): value for step, value in found.state["validation"].items()}
        self.findings = [Finding(**finding) for finding in found.state["findings"]]
        return found.step, found.state["stopped"]

    def _checkpoint(self, recorder: Recorder, done: int, stopped: bool) -> None:
        recorder.flush(done)
        write_tensorboard(self.artifact, read_metrics(self.artifact))
        state: dict[str, Any] = {
            "schedule": self.schedule.state(),
            "guards": self.guards.state(),
            "trends": self.trends.state(),
            "validation": self.validation,
            "findings": [finding.model_dump(mode="json") for finding in self.findings],
            "stopped": stopped,
            "seconds": self._seconds(),
        }
        save_checkpoint(self.artifact, done, self.policy, state, critic=self.critic)

    def _step(self, step: int) -> tuple[dict[str, float], list[TraceRow]]:
        clock = _Clock()
        groups = self.schedule.select(step)
        rollouts = self.collector.collect("rollout", step, groups)
        clock.lap("sample_s")
        batch = self._score(rollouts, groups)
        metrics = rollout_metrics(rollouts) | reward_spread(batch) | self._compare(batch)
        if step == 0:
            self._check_step0(metrics)
        clock.lap("score_s")
        credit = assign_credit(batch, self.spec)
        metrics |= update_policy(self.policy, batch, credit.advantages, self.spec)
        if self.critic is not None:
            metrics |= self.critic.update(batch, credit.returns, self.spec.updates_per_step)
        clock.lap("update_s")
        self.schedule.observe(_counts(rollouts))
        return metrics | clock.laps, self._traces(step, batch, credit)

    def _score(self, rollouts: list[Rollout], groups: Sequence[Allocation]) -> StepBatch:
        return StepBatch(
            rollouts=rollouts,
            group_sizes=[group.samples for group in groups],
            old=self.policy.logprobs(rollouts, self.policy.model),
            reference=self.policy.logprobs(rollouts, self.policy.reference),
            token_budget=self.token_budget,
            values=None if self.critic is None else self.critic.values(rollouts),
        )

    def _compare(self, batch: StepBatch) -> dict[str, float]:
        """Policy against sampler and reference; entropy as the mean surprise of the sampled tokens."""
        entropy = -fmean(value for values in batch.old for value in values)
        gaps = mismatch_metrics(batch.old, batch.sampler)
        return {"entropy": entropy, "staleness_steps": 0.0} | gaps | kl_metrics(batch.old, batch.reference)

    def _check_step0(self, metrics: dict[str, float]) -> None:
        """Before the first update trainer, sampler and reference are one model: log-probs must agree (F09, F25)."""
        gap, kl = metrics["logprob_gap_mean"], metrics["kl"]
        if not gap <= (self.spec.logprob_tolerance or 0.05):
            raise InvariantError(
                f"step 0: trainer and sampler log-probs differ by {gap:.4f} nats a token on average, more than "
                f"train.logprob_tolerance {self.spec.logprob_tolerance}. Check temperature, precision and weight sync"
            )
        if not kl <= STEP0_KL_TOLERANCE:
            raise InvariantError(
                f"step 0: KL to the reference is {kl:.6f}, not 0. The reference is not the start model"
            )

    def _guard(self, step: int, metrics: dict[str, float]) -> bool:
        outcome = self.guards.check(step, metrics)
        self.findings += outcome.findings
        return outcome.stop

    def _validate(self) -> float:
        """Accuracy over the judged completions of the validation split, with the same seeds at every step."""
        groups = [Allocation(prompt, VALIDATION_SAMPLES) for prompt in self.validation_prompts]
        rollouts = self.collector.collect("validation", 0, groups)
        judged = [rollout.parts["correct"] for rollout in rollouts if not math.isnan(rollout.parts["correct"])]
        return fmean(judged) if judged else 0.0

    def _traces(self, step: int, batch: StepBatch, credit: Credit) -> list[TraceRow]:
        columns = zip(batch.rollouts, batch.old, credit.advantages, strict=True)
        return [_trace(self.identity, step, rollout, old, fmean(advantages)) for rollout, old, advantages in columns]


def _counts(rollouts: Sequence[Rollout]) -> dict[str, tuple[int, int]]:
    """Prompt id -> (judged, correct); completions whose verifier failed are not counted."""
    counts: dict[str, tuple[int, int]] = {}
    for rollout in rollouts:
        if not math.isnan(rollout.parts["correct"]):
            judged, correct = counts.get(rollout.prompt.id, (0, 0))
            counts[rollout.prompt.id] = (judged + 1, correct + (rollout.verdict.status == "correct"))
    return counts


def _trace(identity: RunIdentity, step: int, rollout: Rollout, old: list[float], advantage: float) -> TraceRow:
    return TraceRow(
        **asdict(identity),
        step=step,
        problem_id=rollout.prompt.id,
        task=rollout.prompt.task,
        level=rollout.prompt.level,
        sample_index=rollout.sample_index,
        request_seed=rollout.request_seed,
        text=rollout.completion.text,
        finish_reason=rollout.completion.finish_reason,
        completion_tokens=len(rollout.completion.tokens),
        logprob_sum_trainer=sum(old),
        logprob_sum_sampler=sum(rollout.completion.logprobs),
        status=rollout.verdict.status,
        extracted=rollout.verdict.extracted,
        reward=rollout.reward,
        reward_parts=rollout.parts,
        advantage=advantage,
        staleness_steps=0,
    )


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self.last = now - self.last, now
