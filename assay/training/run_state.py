"""All that a run is at the end of a step, and how it gets there: resumed, taken back, or left for another attempt.

Whatever killed a run, the one that resumes it ends with the bytes of one that was left alone, because all that decides
anything is in `_state`. Going back is a resume as well: from an older checkpoint, with a history that is not undone.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import asdict
from typing import Any, NoReturn

from assay.contracts.errors import InvariantError, Retryable, StageError
from assay.contracts.manifest import Finding
from assay.contracts.training import TrainSpec
from assay.guards.rules import Guards, Outcome
from assay.guards.trends import Trends
from assay.storage.artifacts import Artifact
from assay.training.checkpoint import (
    delete_checkpoints,
    forget_checkpoints,
    go_back,
    load_checkpoint,
    read_state,
    resume_points,
    save_checkpoint,
    stored_checkpoints,
)
from assay.training.critic import Critic
from assay.training.history import read_metrics
from assay.training.policy import Policy
from assay.training.producer import Producer
from assay.training.record import Recorder, TensorBoard, forget_after
from assay.training.rollback import Rollback, decide, finding, learning_rate_scale, may_roll_back, still_needed
from assay.training.selection import checkpoints_to_keep, planned_checkpoints

IN_FLIGHT_S = 5.0
"""A run that is being ended waits so long for rollouts in the making; kubelet's patience is 30 s, torchrun's 10."""
_NOT_FINITE = "the weights are not finite"
_LOWER = "Lower the learning rate, raise warm-up, check Adam's eps"


class RunState:
    """One run between two steps. `label` (`ARM/seedN`) names it in findings."""

    def __init__(
        self,
        label: str,
        spec: TrainSpec,
        policy: Policy,
        critic: Critic | None,
        producer: Producer,
        artifact: Artifact,
    ) -> None:
        self.label = label
        self.spec = spec
        self.policy = policy
        self.critic = critic
        self.producer = producer
        self.artifact = artifact
        self.guards = Guards(spec.guards, label=label)
        self.trends = Trends(spec.prompts_per_step)
        self.done, self.stopped = 0, False
        self.validation: dict[int, float] = {}
        self.findings: list[Finding] = []
        self.rollbacks: list[Rollback] = []
        self.begun_s = time.monotonic()
        self.files = ExitStack()

    def seconds(self) -> float:
        """Spent by this attempt and those before it."""
        return time.monotonic() - self.begun_s

    def resume(self) -> None:
        """Become the run that the newest checkpoint is of; what lies beyond it will be made anew."""
        found = load_checkpoint(self.artifact, self.policy, self.critic)
        state = {"rows": None, "in_flight": []} if found is None else found.state
        if found is not None:
            self._restore(found.step, found.state)
        forget_checkpoints(self.artifact, self.done, self._needed())
        forget_after(self.artifact, self.done, len(self.rollbacks))
        self._delete_checkpoints()
        self.policy.world.wait()
        self.recorder = Recorder(self.artifact, self.done, state["rows"])
        self.files.close()
        self.board = self.files.enter_context(closing(TensorBoard(self.artifact, self.metrics())))
        self.producer.restore(self.done, state["in_flight"])
        if found is None and may_roll_back(self.spec):
            self._save(for_evaluation=False)

    def metrics(self) -> dict[int, dict[str, float]]:
        """Step -> metrics of the steps done, those included that are not written as a part yet."""
        metrics = read_metrics(self.artifact)
        for row in self.recorder.metrics:
            metrics.setdefault(row.step, {})[row.name] = row.value
        return metrics

    def close(self) -> None:
        """Let go of threads and files, however the run has ended."""
        self.producer.close()
        self.files.close()

    def judge(self, metrics: Mapping[str, float]) -> Rollback | None:
        """What the guards make of the step just done: `stopped`, or where to go back to."""
        outcome = self.guards.check(self.done - 1, metrics)
        self.findings += outcome.findings
        self.stopped = outcome.stop
        return self._answer(outcome) if outcome.rollback else None

    def checkpoint(self) -> None:
        """Everything up to here, written; then what is no longer needed, deleted.

        Weights that are not finite are no checkpoint: the run ends as the last one left it (F15).
        """
        self.recorder.flush(self.done)
        self.board.upload()
        if not self._save(for_evaluation=True):
            self._end_at_last_checkpoint()
        self._delete_checkpoints()

    def go_back(self, rollback: Rollback) -> None:
        """Keep what is thrown away, make the older checkpoint the one that counts, and resume from it."""
        self.rollbacks.append(rollback)
        self.recorder.throw_away(rollback.to_step, self.done, len(self.rollbacks))
        state = read_state(self.artifact, rollback.to_step)
        go_back(self.artifact, rollback.to_step, state | self._history())
        self.policy.world.wait()
        self.resume()

    def leave(self) -> NoReturn:
        """Write a checkpoint, unless there is one of this very step, and ask to be run again."""
        problem = self._unsaved() if self.done and self.done not in resume_points(self.artifact) else ""
        saved = f"it resumes from its last checkpoint ({problem})" if problem else f"step {self.done} is its checkpoint"
        raise Retryable(f"{self.label}: ended by SIGTERM (preempted, drained or cancelled); {saved}. Run it again")

    def _unsaved(self) -> str:
        """Save what is there; what is in the way of it, if anything. Of several processes all save or none does."""
        late = [problem for problem in self.policy.world.gather(self._late()) if problem]
        if late:
            return late[0]
        return "" if self._save(for_evaluation=False) else "its weights are not finite"

    def _late(self) -> str:
        """Why rollouts in the making cannot be saved; empty: they are there."""
        try:
            self.producer.state(self.done, IN_FLIGHT_S)
        except StageError as error:
            return str(error)
        return ""

    def _end_at_last_checkpoint(self) -> None:
        """As a guard that stops the run: what was trained since is thrown away, and why is a finding."""
        last = max(resume_points(self.artifact), default=0)
        if not last:
            raise InvariantError(
                f"{self.label}: step {self.done - 1}: F15: {_NOT_FINITE}, before any checkpoint. {_LOWER}"
            )
        rollback = Rollback("weights", self.done, last)
        self.findings.append(_ended_early(self.label, rollback))
        self.stopped = True
        self.go_back(rollback)
        self.board.upload()

    def _delete_checkpoints(self) -> None:
        """What `keep_checkpoints` does not keep, and no guard could call for."""
        stored = stored_checkpoints(self.artifact)
        if self.spec.keep_checkpoints is None or not stored:
            return
        planned = planned_checkpoints(self.spec)
        keep = checkpoints_to_keep(stored, self.validation, self.spec.keep_checkpoints, planned)
        delete_checkpoints(self.artifact, sorted(set(stored) - keep - set(resume_points(self.artifact))))

    def _answer(self, outcome: Outcome) -> Rollback | None:
        call, lag = outcome.rollback, self.producer.staleness_steps
        assert call is not None
        rollback = decide(call, self.done, resume_points(self.artifact), self.rollbacks, lag)
        self.findings.append(finding(self.label, call, self.done, rollback, self.rollbacks))
        self.stopped = rollback is None
        return rollback

    def _save(self, for_evaluation: bool) -> bool:
        """A resume point. Whether it was written: one that is not finite is not."""
        state, keep = self._state() | self._history(), self._needed()
        return save_checkpoint(self.artifact, self.done, self.policy, state, for_evaluation, keep, critic=self.critic)

    def _needed(self) -> list[int]:
        """Older resume points that a guard could call for."""
        points = resume_points(self.artifact) if may_roll_back(self.spec) else []
        return still_needed(points, self.guards.bad_since(self.done), self.producer.staleness_steps)

    def _state(self) -> dict[str, Any]:
        return {
            "in_flight": self.producer.state(self.done),
            "schedule": self.producer.schedule.state(),
            "guards": self.guards.state(),
            "trends": self.trends.state(),
            "rows": self.recorder.rows(),
            "validation": self.validation,
        }

    def _history(self) -> dict[str, Any]:
        """What going back does not undo."""
        return {
            "findings": [item.model_dump(mode="json") for item in self.findings],
            "rollbacks": [asdict(rollback) for rollback in self.rollbacks],
            "stopped": self.stopped,
            "seconds": self.seconds(),
        }

    def _restore(self, step: int, state: Mapping[str, Any]) -> None:
        self.done, self.stopped = step, state["stopped"]
        self.begun_s = time.monotonic() - state["seconds"]
        self.producer.schedule.restore(state["schedule"])
        self.guards.restore(state["guards"])
        self.trends.restore(state["trends"])
        self.validation = {int(name): value for name, value in state["validation"].items()}
        self.findings = [Finding(**item) for item in state["findings"]]
        self.rollbacks = [Rollback(**item) for item in state["rollbacks"]]
        self.policy.rate_scale = learning_rate_scale(self.rollbacks)
        if self.critic is not None:
            self.critic.rate_scale = self.policy.rate_scale


def _ended_early(label: str, rollback: Rollback) -> Finding:
    steps = f"steps {rollback.to_step} to {rollback.from_step - 1} are thrown away"
    message = f"{_NOT_FINITE}: {steps}, and the run ends at its checkpoint of step {rollback.to_step}. {_LOWER}"
    where = f"{label}: step {rollback.from_step - 1}"
    return Finding(id=f"guard/{rollback.guard}", failure="F15", severity="error", where=where, message=message)
