"""Checkpoints that resume to the same bytes.

    checkpoints/step-000010/model.safetensors    the policy, kept: evaluation picks among these
    scratch/resume/step-000010.safetensors       AdamW moments, and PPO's critic
    scratch/resume/step-000010.model.safetensors the policy, where only a resume needs it: a run that is being ended
    scratch/resume/step-000010.json              everything else; names the step and the digests of both files
    scratch/resume/state.json                    the same of the checkpoint that counts

`state.json` is written last, so a kill leaves the previous checkpoint whole or the new one whole; a run goes back by
writing an older one's state over it. A run without `state.json` is a new one. Where what it names is missing or has
other bytes than were written, the run is refused and nothing is deleted. Nothing is pickled.

Of several processes all gather, the first writes (the others' store only reads), and all wait for it; what is written
is whole, so another number of processes can go on from it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from assay.contracts.errors import InvariantError, ObjectCorrupt, ObjectMissing
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
) -> bool:
    """Write weights, moments, then the state that makes them count. `keep`: older steps a run may go back to.

    Whether it was written: where a number is not finite nothing is, and the checkpoint of before stands (F15).

    A checkpoint that is not for evaluation is one of a run that is being ended: nothing goes back to it later, so that
    a run takes the same turns whether it was interrupted or not. Only the start, step 0, is both.
    """
    critics = {} if critic is None else critic.tensors()
    tensors = policy.weights(), policy.moments() | critics
    if not policy.world.first(all(map(_finite, tensors))):
        return False
    weights, moments = map(save_tensors, tensors)
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
    return True


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
    state: dict[str, Any] = _resume_record(artifact, step)["state"]
    return state


def go_back(artifact: Artifact, step: int, state: dict[str, Any]) -> None:
    """Make an older resume point the one that counts, with another state. One write: it happens or it does not."""
    artifact.write_bytes(_STATE, json.dumps(_resume_record(artifact, step) | {"state": state}).encode())


def load_checkpoint(artifact: Artifact, policy: Policy, critic: Critic | None = None) -> ResumePoint | None:
    """Restore policy and critic from the newest checkpoint; None when there is none. Raises ObjectCorrupt."""
    found = _read_back(artifact)
    if found is None:
        return None
    moments = load_tensors(found.moments)
    policy.restore(load_tensors(found.weights), moments, found.record["counters"])
    if critic is not None:
        critic.restore(moments)
    return ResumePoint(found.record["step"], found.record["state"])


def require_checkpoint(artifact: Artifact, step: int) -> None:
    """Read the newest checkpoint back (F18).

    Raises InvariantError when it is not that of `step`; ObjectCorrupt when it cannot be read as it was written.
    """
    found = _read_back(artifact)
    if found is None or found.record["step"] != step:
        raise InvariantError(f"{artifact.uri}: the checkpoint of step {step} is not there. Run the stage again")


class _Stored(NamedTuple):
    """A checkpoint whose files are those that its state names."""

    record: dict[str, Any]
    weights: bytes
    moments: bytes


def _read_back(artifact: Artifact) -> _Stored | None:
    """The newest checkpoint; None when there is none. Raises ObjectCorrupt when it cannot be read as it was written."""
    try:
        state = artifact.read_bytes(_STATE)
    except ObjectMissing:
        return None
    record = _record(artifact, _STATE, state)
    return _Stored(record, *(_named(artifact, *record[name]) for name in ("model", "moments")))


def _resume_record(artifact: Artifact, step: int) -> dict[str, Any]:
    path = f"{_resume_path(step)}.json"
    return _record(artifact, path, artifact.read_bytes(path))


def _record(artifact: Artifact, path: str, data: bytes) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise _corrupt(artifact, path, f"it is no JSON ({error})") from error
    return record


def _named(artifact: Artifact, path: str, sha256: str) -> bytes:
    """A file that the state names: it was written before it, so it is there."""
    try:
        data = artifact.read_bytes(path)
    except ObjectMissing as error:
        raise _corrupt(artifact, path, f"{_STATE} names it, and it is not there") from error
    if _sha256(data) != sha256:
        raise _corrupt(artifact, path, f"its digest is {_sha256(data)}, and {_STATE} says {sha256}")
    return data


def _corrupt(artifact: Artifact, path: str, problem: str) -> ObjectCorrupt:
    """Nothing is deleted for it: what cannot be read today may be read tomorrow."""
    remedy = f"Put it back as it was, or delete {_STATE} to train from the start"
    return ObjectCorrupt(f"{artifact.uri}/{path}: {problem}. {remedy}")


def _finite(tensors: Mapping[str, torch.Tensor]) -> bool:
    return all(bool(torch.isfinite(tensor).all()) for tensor in tensors.values())


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
