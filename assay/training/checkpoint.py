"""Checkpoints that resume to the same bytes.

    checkpoints/step-000010/model.safetensors    the policy, kept: evaluation picks among these
    scratch/resume/step-000010.safetensors       AdamW moments, and PPO's critic
    scratch/resume/step-000010.model.safetensors the policy, where only a resume needs it: a run that is being ended
    scratch/resume/step-000010.json              everything else; names the step and the digests of both files
    scratch/resume/state.json                    the same of the checkpoint that counts

`state.json` is written last, so a kill leaves the previous checkpoint whole or the new one whole; a run goes back by
writing an older one's state over it. Nothing is pickled. Of several processes all gather, the first writes (the others'
store only reads), and all wait for it; what is written is whole, so another number of processes can go on from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from assay.contracts.errors import InvariantError, ObjectMissing
from assay.storage.artifacts import Artifact
from assay.training.critic import Critic
from assay.training.paths import checkpoint_name, model_path
from assay.training.policy import Policy

_RESUME = "scratch/resume"
_STATE = f"{_RESUME}/state.json"


@dataclass(frozen=True, slots=True)
class ResumePoint:
    """A checkpoint that was found whole. `state` is what the loop handed to `save_checkpoint`."""

    step: int
    state: dict[str, Any]


def save_checkpoint(
    artifact: Artifact,
    step: int,
    policy: Policy,
    state: dict[str, Any],
    for_evaluation: bool = True,
    keep: Collection[int] = (),
    critic: Critic | None = None,
) -> None:
    """Write weights, moments, then the state that makes them count. `keep`: older steps a run may go back to.

    A checkpoint that is not for evaluation is one of a run that is being ended: nothing goes back to it later, so that
    a run takes the same turns whether it was interrupted or not. Only the start, step 0, is both.
    """
    critics = {} if critic is None else critic.tensors()
    weights, moments = save_tensors(policy.weights()), save_tensors(policy.moments() | critics)
    weights_path = model_path(step) if for_evaluation else f"{_resume_path(step)}.model.safetensors"
    moments_path = f"{_resume_path(step)}.safetensors"
    artifact.write_bytes(weights_path, weights)
    artifact.write_bytes(moments_path, moments)
    record = {
        "step": step,
        "counters": policy.counters(),
        "model": [weights_path, _sha256(weights)],
        "moments": [moments_path, _sha256(moments)],
        "state": state,
    }
    if for_evaluation or step == 0:
        artifact.write_bytes(f"{_resume_path(step)}.json", json.dumps(record).encode())
    artifact.write_bytes(_STATE, json.dumps(record).encode())
    _drop_all_but(artifact, {step, *keep})
    policy.world.wait()


def resume_points(artifact: Artifact) -> list[int]:
    """The steps that a run can go back to."""
    return [
        _step_of(info.path) for info in artifact.list(_RESUME) if info.path.endswith(".json") and info.path != _STATE
    ]


def stored_checkpoints(artifact: Artifact) -> list[int]:
    """The steps whose weights are kept for evaluation."""
    return sorted(int(info.path.split("/")[1].removeprefix("step-")) for info in artifact.list("checkpoints"))


def delete_checkpoints(artifact: Artifact, steps: Iterable[int]) -> None:
    """Delete the weights of these steps."""
    for step in steps:
        artifact.store.delete(artifact.path(model_path(step)))


def forget_checkpoints(artifact: Artifact, step: int, keep: Collection[int]) -> None:
    """Delete what belongs to steps that will be made anew, and older resume points but those to keep."""
    delete_checkpoints(artifact, (later for later in stored_checkpoints(artifact) if later > step))
    _drop_all_but(artifact, {step, *keep})


def read_state(artifact: Artifact, step: int) -> dict[str, Any]:
    """The state that was handed to `save_checkpoint` at a resume point."""
    state: dict[str, Any] = json.loads(artifact.read_bytes(f"{_resume_path(step)}.json"))["state"]
    return state


def go_back(artifact: Artifact, step: int, state: dict[str, Any]) -> None:
    """Make an older resume point the one that counts, with another state. One write: it happens or it does not."""
    record = json.loads(artifact.read_bytes(f"{_resume_path(step)}.json"))
    artifact.write_bytes(_STATE, json.dumps(record | {"state": state}).encode())


def load_checkpoint(artifact: Artifact, policy: Policy, critic: Critic | None = None) -> ResumePoint | None:
    """Restore policy and critic from the newest whole checkpoint; None when there is none."""
    found = _read_back(artifact)
    if found is None:
        return None
    moments = load_tensors(found.moments)
    policy.restore(load_tensors(found.weights), moments, found.record["counters"])
    if critic is not None:
        critic.restore(moments)
    return ResumePoint(found.record["step"], found.record["state"])


def require_checkpoint(artifact: Artifact, step: int) -> None:
    """Read the newest checkpoint back. Raises InvariantError unless it is that of `step`, whole (F18)."""
    found = _read_back(artifact)
    if found is None or found.record["step"] != step:
        raise InvariantError(f"{artifact.uri}: the checkpoint of step {step} cannot be read back. Run the stage again")


class _Stored(NamedTuple):
    """A checkpoint whose files are those that its state names."""

    record: dict[str, Any]
    weights: bytes
    moments: bytes


def _read_back(artifact: Artifact) -> _Stored | None:
    """The newest checkpoint; None when there is none, or when its bytes are not those that were written."""
    try:
        record = json.loads(artifact.read_bytes(_STATE))
        weights, moments = artifact.read_bytes(record["model"][0]), artifact.read_bytes(record["moments"][0])
    except ObjectMissing:
        return None
    whole = [_sha256(weights), _sha256(moments)] == [record["model"][1], record["moments"][1]]
    return _Stored(record, weights, moments) if whole else None


def _resume_path(step: int) -> str:
    return f"{_RESUME}/{checkpoint_name(step)}"


def _step_of(path: str) -> int:
    return int(path.removeprefix(f"{_RESUME}/step-").partition(".")[0])


def _drop_all_but(artifact: Artifact, steps: Collection[int]) -> None:
    """State files go first: a resume point without one is none."""
    found = sorted(artifact.list(_RESUME), key=lambda info: not info.path.endswith(".json"))
    for info in found:
        if info.path != _STATE and _step_of(info.path) not in steps:
            artifact.store.delete(artifact.path(info.path))


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
