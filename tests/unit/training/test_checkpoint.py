"""Checkpoints: what comes back is bit by bit what went in, or it does not come back at all."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.errors import InvariantError, ObjectCorrupt
from assay.contracts.training import OptimizerSpec
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.training.checkpoint import (
    go_back,
    load_checkpoint,
    read_state,
    require_checkpoint,
    resume_points,
    save_checkpoint,
)
from assay.training.paths import checkpoint_name, model_path
from assay.training.policy import Policy

SPEC = OptimizerSpec(learning_rate=1e-2, warmup_steps=7)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Artifact(open_store(str(tmp_path)), "train", "0" * 20)


def trained(model: Any, updates: int) -> Policy:
    policy = Policy(model, SPEC, 1.0, 1000)
    train(policy, updates)
    return policy


def train(policy: Policy, updates: int) -> None:
    for _ in range(updates):
        inputs = torch.arange(20)[None] + policy.updates
        policy.model(inputs, labels=inputs).loss.backward()
        policy.update()


def tensors(policy: Policy) -> list[torch.Tensor]:
    parameters = list(policy.model.parameters())
    return parameters + [
        policy.optimizer.state[p][name] for p in parameters for name in sorted(policy.optimizer.state[p])
    ]


@pytest.mark.parametrize("tied", [True, False])
def test_weights_moments_and_warm_up_come_back_bit_by_bit(artifact: Artifact, make_model: Any, tied: bool) -> None:
    """And go on to the same bits."""
    written = trained(make_model(tie_word_embeddings=tied), 3)
    save_checkpoint(artifact, 40, written, {"schedule": {"a": [1, 2]}})
    read = Policy(make_model(seed=9, tie_word_embeddings=tied), SPEC, 1.0, 1000)
    found = load_checkpoint(artifact, read)
    assert found is not None
    assert (found.step, found.state, read.updates) == (40, {"schedule": {"a": [1, 2]}}, 3)
    for _ in range(2):
        for a, b in zip(tensors(written), tensors(read), strict=True):
            assert a.dtype == b.dtype
            assert torch.equal(a, b)
        train(written, 2)
        train(read, 2)


def test_tied_weights_stay_tied_after_a_resume(artifact: Artifact, make_model: Any) -> None:
    save_checkpoint(artifact, 1, trained(make_model(), 1), {})
    read = Policy(make_model(seed=9), SPEC, 1.0, 1000)
    load_checkpoint(artifact, read)
    assert read.model.lm_head.weight.data_ptr() == read.model.model.embed_tokens.weight.data_ptr()


def test_the_reference_stays_the_start_model_when_a_run_resumes(artifact: Artifact, make_model: Any) -> None:
    """A reference copied from resumed weights would make every later KL too small (F22)."""
    save_checkpoint(artifact, 1, trained(make_model(), 2), {})
    read = Policy(make_model(), SPEC, 1.0, 1000)
    load_checkpoint(artifact, read)
    for found, start in zip(read.reference.parameters(), make_model().parameters(), strict=True):
        assert torch.equal(found, start)


def test_an_empty_artifact_has_nothing_to_resume(artifact: Artifact, make_model: Any) -> None:
    assert load_checkpoint(artifact, Policy(make_model(), SPEC, 1.0, 1000)) is None


def test_equal_policies_give_equal_bytes(artifact: Artifact, make_model: Any) -> None:
    for step in (1, 2):
        save_checkpoint(artifact, step, trained(make_model(), 2), {})
    assert artifact.read_bytes(model_path(1)) == artifact.read_bytes(model_path(2))


def test_every_checkpoint_keeps_its_weights_and_only_the_newest_its_moments(
    artifact: Artifact, make_model: Any
) -> None:
    policy = trained(make_model(), 1)
    for step in (10, 20, 30):
        save_checkpoint(artifact, step, policy, {})
    assert {info.path for info in artifact.list()} == {
        *(model_path(step) for step in (10, 20, 30)),
        f"scratch/resume/{checkpoint_name(30)}.json",
        f"scratch/resume/{checkpoint_name(30)}.safetensors",
        "scratch/resume/state.json",
    }


@pytest.mark.parametrize("which", ["model", "moments"])
def test_a_checkpoint_whose_bytes_changed_or_are_missing_is_refused(
    artifact: Artifact, make_model: Any, which: str
) -> None:
    """F18: not taken for that of a new run, which would delete what is left."""
    save_checkpoint(artifact, 5, trained(make_model(), 1), {})
    path = json.loads(artifact.read_bytes("scratch/resume/state.json"))[which][0]
    data, files = artifact.read_bytes(path), artifact.list()
    artifact.write_bytes(path, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ObjectCorrupt, match=f"{path}: its digest is .* or delete scratch/resume/state.json"):
        load_checkpoint(artifact, Policy(make_model(), SPEC, 1.0, 1000))
    assert artifact.list() == files
    artifact.store.delete(artifact.path(path))
    with pytest.raises(ObjectCorrupt, match=f"{path}: .*state.json names it, and it is not there"):
        load_checkpoint(artifact, Policy(make_model(), SPEC, 1.0, 1000))


def test_a_state_that_was_cut_short_is_refused_by_its_name(artifact: Artifact, make_model: Any) -> None:
    policy = trained(make_model(), 1)
    save_checkpoint(artifact, 5, policy, {})
    for name, read in [
        ("state", lambda: load_checkpoint(artifact, policy)),
        (checkpoint_name(5), lambda: read_state(artifact, 5)),
    ]:
        path = f"scratch/resume/{name}.json"
        artifact.write_bytes(path, artifact.read_bytes(path)[:-3])
        with pytest.raises(ObjectCorrupt, match=f"{path}: it is no JSON"):
            read()


@pytest.mark.parametrize("spoilt", [math.nan, math.inf])
@pytest.mark.parametrize("where", ["weights", "moments"])
def test_numbers_that_are_not_finite_are_no_checkpoint_and_the_one_of_before_stands(
    artifact: Artifact, make_model: Any, where: str, spoilt: float
) -> None:
    """F15."""
    policy = trained(make_model(), 1)
    assert save_checkpoint(artifact, 5, policy, {})
    files = artifact.list()
    parameter = next(iter(policy.trained.values()))
    tensor = parameter.data if where == "weights" else policy.optimizer.state[parameter]["exp_avg"]
    tensor[3] = spoilt
    assert not save_checkpoint(artifact, 6, policy, {})
    assert artifact.list() == files
    require_checkpoint(artifact, 5)


def test_a_run_whose_last_checkpoint_cannot_be_read_back_is_refused(artifact: Artifact, make_model: Any) -> None:
    """F18: missing, of another step, or of other bytes than were written."""
    with pytest.raises(InvariantError, match="checkpoint of step 5"):
        require_checkpoint(artifact, 5)
    save_checkpoint(artifact, 5, trained(make_model(), 1), {})
    require_checkpoint(artifact, 5)
    with pytest.raises(InvariantError, match="checkpoint of step 6"):
        require_checkpoint(artifact, 6)
    data = artifact.read_bytes(model_path(5))
    artifact.write_bytes(model_path(5), data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ObjectCorrupt, match=model_path(5)):
        require_checkpoint(artifact, 5)
    artifact.store.delete(artifact.path(model_path(5)))
    with pytest.raises(ObjectCorrupt, match=model_path(5)):
        require_checkpoint(artifact, 5)


def test_a_run_goes_back_to_a_point_that_was_kept_and_takes_the_new_state_with_it(
    artifact: Artifact, make_model: Any
) -> None:
    policy = trained(make_model(), 0)
    for step, updates, keep in [(0, 2, ()), (4, 2, (0,)), (6, 1, (0, 4))]:
        save_checkpoint(artifact, step, policy, {"at": step}, for_evaluation=step > 0, keep=keep)
        train(policy, updates)
    assert resume_points(artifact) == [0, 4, 6]
    go_back(artifact, 4, read_state(artifact, 4) | {"rollbacks": 1})
    again = trained(make_model(seed=9), 5)
    found = load_checkpoint(artifact, again)
    expected = trained(make_model(), 2)
    assert found is not None
    assert (found.step, found.state, again.updates) == (4, {"at": 4, "rollbacks": 1}, 2)
    for a, b in zip(tensors(expected), tensors(again), strict=True):
        assert torch.equal(a, b)


def test_the_start_of_a_run_has_no_moments_and_none_are_left_over(artifact: Artifact, make_model: Any) -> None:
    policy = trained(make_model(), 0)
    save_checkpoint(artifact, 0, policy, {}, for_evaluation=False)
    train(policy, 3)
    load_checkpoint(artifact, policy)
    assert not policy.optimizer.state
    assert not artifact.list("checkpoints")


def test_what_no_resume_needs_is_dropped(artifact: Artifact, make_model: Any) -> None:
    """And a run that is being ended leaves nothing that a later rollback could take for a checkpoint."""
    policy = trained(make_model(), 0)
    for step in (0, 2, 4):
        save_checkpoint(artifact, step, policy, {}, for_evaluation=step != 2, keep=(2,) if step == 4 else ())
    assert [info.path for info in artifact.list("scratch")] == [
        "scratch/resume/state.json",
        "scratch/resume/step-000002.model.safetensors", "scratch/resume/step-000002.safetensors",
        "scratch/resume/step-000004.json", "scratch/resume/step-000004.safetensors",
    ]  # fmt: skip
