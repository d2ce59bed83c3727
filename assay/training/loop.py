"""The GRPO loop: sample, score, update, watch, record, checkpoint.

    step s    rollouts of the step, sampled and verified            assay.training.producer, .rollout
              log-probs under trainer and reference                 assay.training.policy
              what must hold                                        assay.training.invariants
              credit, loss, AdamW                                   assay.training.credit, .update
              metrics -> guards: warn, stop, go back                assay.guards, assay.training.rollback
    every validate_every_steps, and at every checkpoint: validation accuracy
    every checkpoint_every_steps: a checkpoint that resumes to the same bytes           assay.training.run_state

Nothing is changed until all rollouts of a step are scored: until then a run that is being ended (SIGTERM) may drop it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from statistics import fmean

from assay.contracts.manifest import Finding
from assay.contracts.records import PromptRow, TraceRow
from assay.contracts.schedule import Allocation
from assay.contracts.training import TrainSpec
from assay.storage.artifacts import Artifact
from assay.training.credit import StepBatch, TokenValues, assign_credit, reward_spread
from assay.training.critic import Critic
from assay.training.history import read_metrics
from assay.training.invariants import check_adam_eps, check_agreement, check_ratio, check_reference
from assay.training.metrics import kl_metrics, mismatch_metrics, rollout_metrics
from assay.training.policy import Policy
from assay.training.producer import Made, Producer
from assay.training.record import RunIdentity, evidence, trace_rows, unused_rows
from assay.training.rollback import Rollback
from assay.training.rollout import Rollout
from assay.training.run_state import RunState
from assay.training.termination import Terminated, Termination
from assay.training.update import scores_itself, update_policy
from assay.training.verdicts import accuracy, counts, group_sizes, mean_pass_rate, problem_scores

VALIDATION_SAMPLES = 4
PROBE_PROMPTS = 8
"""Completions on which sampler and trainer are compared, where a step's own are of older weights."""

Report = Callable[[int, dict[str, float]], None]
"""Called after every step with the number of steps done and the step's metrics."""
Resumed = Callable[[Mapping[int, Mapping[str, float]]], None]
"""Called once, before the first step, with the metrics of the steps that earlier attempts have done."""


@dataclass(frozen=True, slots=True)
class TrainResult:
    """How a run ended. `validation` maps a step to its accuracy."""

    steps_done: int
    seconds: float
    """Spent on it by all attempts; of one that was killed, up to its newest checkpoint."""
    stopped: bool
    resumed_from_step: int
    validation: dict[int, float]
    findings: list[Finding]
    rollbacks: list[Rollback]
    metrics: dict[int, dict[str, float]]


class GRPOTrainer:
    """One run: one arm, one seed."""

    def __init__(
        self,
        identity: RunIdentity,
        spec: TrainSpec,
        policy: Policy,
        producer: Producer,
        validation: Sequence[PromptRow],
        artifact: Artifact,
        critic: Critic | None = None,
    ) -> None:
        self.identity = identity
        self.spec = spec
        self.policy = policy
        self.producer = producer
        self.validation_prompts = validation
        self.artifact = artifact
        self.critic = critic
        self.state = RunState(identity.label, spec, policy, critic, producer, artifact)
        self.termination = Termination(policy.world)
        self.token_budget = max(task.max_completion_tokens for task in producer.collector.tasks.values())

    def run(self, report: Report, resumed: Resumed = lambda _: None) -> TrainResult:
        """Train to the last step or until a guard stops the run; continues from the newest checkpoint.

        Raises Retryable after a SIGTERM.
        """
        with self.termination.listening():
            try:
                self.state.resume()
                resumed_from = self.state.done
                resumed(self.state.metrics())
                self._train(report)
            except Terminated:
                self.state.leave()
            finally:
                self.state.close()
        return self._result(resumed_from)

    def _result(self, resumed_from: int) -> TrainResult:
        state = self.state
        return TrainResult(
            steps_done=state.done,
            seconds=state.seconds(),
            stopped=state.stopped,
            resumed_from_step=resumed_from,
            validation=state.validation,
            findings=state.findings,
            rollbacks=state.rollbacks,
            metrics=read_metrics(self.artifact),
        )

    def _train(self, report: Report) -> None:
        state = self.state
        while state.done < self.spec.steps and not state.stopped:
            clock = _Clock()
            with self.termination.interruptible():
                made, batch = self._score(state.done, clock)
            metrics, traces = self._learn(made, batch, clock)
            metrics = self.policy.world.first(metrics)
            state.done += 1
            rollback = self._watch(metrics)
            state.recorder.add(state.done - 1, metrics, traces)
            state.board.add(state.done - 1, metrics)
            report(state.done, metrics)
            if rollback is not None:
                state.go_back(rollback)
            elif self._due(self.spec.checkpoint_every_steps) or state.stopped:
                state.checkpoint()

    def _score(self, step: int, clock: _Clock) -> tuple[Made, StepBatch]:
        """The step's rollouts, their log-probs before the update, and whether these are what they must be."""
        made = self.producer.take(step)
        clock.lap("sample_s")
        used = [rollout for rollout in made.rollouts if rollout.used]
        batch = StepBatch(
            rollouts=used,
            group_sizes=group_sizes(used),
            old=self.policy.logprobs(used, self.policy.model) if self._scores_first(step) else [],
            reference=self.policy.logprobs(used, self.policy.reference),
            token_budget=self.token_budget,
            values=None if self.critic is None else self.critic.values(used),
        )
        self._check(step, made, batch)
        clock.lap("score_s")
        return made, batch

    def _check(self, step: int, made: Made, batch: StepBatch) -> None:
        """Trainer and sampler are one model, and at first the reference too (F09, F25)."""
        stale = made.staleness_steps > 0
        with self._evidence(batch.rollouts, batch.old, made.staleness_steps):
            if step == 0:
                check_reference(batch.old, batch.reference, self.spec)
            if self._compares(step) and not stale:
                check_agreement(step, batch.old, batch.sampler, self.spec)
        if self._compares(step) and stale:
            self._probe(step)

    def _compares(self, step: int) -> bool:
        """Whether trainer and sampler are compared at a step, before anything is learnt from it."""
        return step % self.spec.logprob_check_every_steps == 0

    def _scores_first(self, step: int) -> bool:
        return self._compares(step) or not scores_itself(self.spec, self.policy.world.rank.of)

    def _probe(self, step: int) -> None:
        """The comparison on completions of the weights of now, where the step's own are of older ones."""
        groups = [Allocation(prompt, 1) for prompt in self.validation_prompts[:PROBE_PROMPTS]]
        rollouts = self.producer.collect_now("agreement", step, groups, step)
        trainer = self.policy.logprobs(rollouts, self.policy.model)
        with self._evidence(rollouts, trainer, 0):
            check_agreement(step, trainer, [rollout.completion.logprobs for rollout in rollouts], self.spec)

    def _check_update(self, metrics: Mapping[str, float]) -> None:
        """The run's first update started where the policy was, and its first gradient is not lost in Adam's eps."""
        if self.policy.updates == metrics["updates"]:
            check_ratio(self.state.done, metrics["first_ratio_max"], self.spec)
        taught = metrics["mixed_group_share"] > 0  # else the gradient is at most the KL term's, of rounding alone
        if taught and not self.state.trends.knows_gradient:
            check_adam_eps(metrics["grad_rms"], metrics["grad_norm"], self.spec.optimizer)

    def _evidence(
        self, rollouts: Sequence[Rollout], trainer: TokenValues, staleness_steps: int
    ) -> AbstractContextManager[None]:
        return evidence(self.artifact, self.identity, self.state.done, rollouts, trainer, staleness_steps)

    def _learn(self, made: Made, batch: StepBatch, clock: _Clock) -> tuple[dict[str, float], list[TraceRow]]:
        """Credit and update. Returns the step's metrics and trace rows."""
        step = self.state.done
        credit = assign_credit(batch, self.spec)
        updated = update_policy(self.policy, batch, credit.advantages, self.spec)
        metrics = _measure(made, batch, self.spec) | updated
        with self._evidence(batch.rollouts, batch.old, made.staleness_steps):
            self._check_update(metrics)
        if self.critic is not None:
            metrics |= self.critic.update(batch, credit.returns, self.spec.updates_per_step)
        self.producer.schedule.observe(counts(made.rollouts, self.spec.prompts))
        clock.lap("update_s")
        rows = trace_rows(self.identity, step, batch, credit, made.staleness_steps)
        rows += unused_rows(self.identity, step, made.rollouts, made.staleness_steps)
        return metrics | clock.laps, rows

    def _watch(self, metrics: dict[str, float]) -> Rollback | None:
        """Validation, trends and guards after a step; adds to its metrics. Returns where to go back to, if at all."""
        due = self._due(self.spec.validate_every_steps) or self._due(self.spec.checkpoint_every_steps)
        scores = self._validate(metrics) if due else {}
        metrics |= self.state.trends.observe(metrics, scores)
        rollback = self.state.judge(metrics)
        if self.state.stopped and not due:
            self._validate(metrics)
        if rollback is None and not self.state.stopped:
            self.producer.look_ahead(self.state.done)
        return rollback

    def _validate(self, metrics: dict[str, float]) -> dict[str, float]:
        """Problem -> score over the judged completions of the validation split, with the same seeds at every step;
        adds their accuracy to the metrics."""
        done, groups = self.state.done, [Allocation(prompt, VALIDATION_SAMPLES) for prompt in self.validation_prompts]
        rollouts = self.producer.collect_now("validation", 0, groups, done)
        value = accuracy(rollouts)
        if value is None:
            self.state.findings.append(_nothing_judged(self.identity.label, done))
            return {}
        self.state.validation[done] = metrics["validation_accuracy"] = value
        return problem_scores(rollouts)

    def _due(self, every: int) -> bool:
        return self.state.done % every == 0 or self.state.done == self.spec.steps


def _measure(made: Made, batch: StepBatch, spec: TrainSpec) -> dict[str, float]:
    """The step before its update; entropy as the mean surprise of the sampled tokens."""
    entropy = -fmean(value for values in batch.old for value in values)
    policy = mismatch_metrics(batch.old, batch.sampler) | kl_metrics(batch.old, batch.reference)
    lag = {"entropy": entropy, "staleness_steps": float(made.staleness_steps)}
    replaced = group_sizes([rollout for rollout in made.rollouts if not rollout.used])
    chosen = counts([rollout for rollout in made.rollouts if not rollout.spare], spec.prompts)
    lag |= {"replaced_groups": float(len(replaced)), "pass_rate": mean_pass_rate(chosen)}
    return rollout_metrics(made.rollouts) | reward_spread(batch) | lag | policy


def _nothing_judged(label: str, done: int) -> Finding:
    where = f"{label}: step {done - 1}"
    message = "no completion of the validation split could be judged, so it has no accuracy. Look at the verifier"
    return Finding(id="F19/validation", failure="F19", severity="warning", where=where, message=message)


class _Clock:
    """Seconds between laps."""

    def __init__(self) -> None:
        self.laps: dict[str, float] = {}
        self.last = time.monotonic()

    def lap(self, name: str) -> None:
        now = time.monotonic()
        self.laps[name], self.last = now - self.last, now
