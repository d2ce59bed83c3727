"""What of a plan is done: manifests decide."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from assay.contracts.manifest import Manifest
from assay.plan.expand import Node, Plan
from assay.plan.state import pending, plan_states
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.storage.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(str(tmp_path / "store"))


def commit(store: Store, node: Node) -> None:
    manifest = Manifest(
        stage=node.spec.stage,
        key=node.key,
        stage_version=1,
        spec={},
        files=(),
        seconds=0,
        started_at="2026-01-01T00:00:00Z",
        assay_version="0",
    )
    Artifact(store, node.spec.stage, node.key).commit(manifest)


def test_in_an_empty_store_everything_is_pending_and_says_why(plan: Callable[..., Plan], store: Store) -> None:
    made = plan()
    states = {state.node.name: state for state in plan_states(made, store)}
    assert pending(made, store) == list(made.nodes)
    assert states["prepare"].why == "no result yet"
    assert states["curriculum"].why == "needs prepare"


def test_committed_nodes_are_reused_and_the_rest_is_pending(plan: Callable[..., Plan], store: Store) -> None:
    made = plan()
    done = ("prepare", "curriculum", "train plain/seed0")
    for name in done:
        commit(store, made.node(name))
    assert [node.name for node in pending(made, store)] == [node.name for node in made.nodes if node.name not in done]
    state = next(state for state in plan_states(made, store) if state.node.name == "train plain/seed0")
    assert (state.reused, state.why) == (True, "committed")


def test_files_without_a_manifest_are_an_interrupted_stage(plan: Callable[..., Plan], store: Store) -> None:
    made = plan()
    node = made.node("prepare")
    Artifact(store, node.spec.stage, node.key).write_bytes("prompts.parquet", b"half")
    assert not plan_states(made, store)[0].reused
    assert "interrupted" in plan_states(made, store)[0].why
