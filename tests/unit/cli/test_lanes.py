"""How a plan is cut into lanes: whatever runs side by side needs nothing of its neighbours."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.cli.lanes import fit, split
from assay.cli.options import load_plan
from assay.contracts.stage import Runtime
from assay.plan.expand import Node

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def nodes() -> tuple[Node, ...]:
    return load_plan(REPOSITORY / "configs/ablations/quickstart.yaml", []).nodes


def test_every_node_is_in_exactly_one_part(nodes: tuple[Node, ...]) -> None:
    lanes = split(nodes)
    placed = [*lanes.first, *(node for chain in lanes.chains for node in chain), *lanes.last]
    assert sorted(node.name for node in placed) == sorted(node.name for node in nodes)


def test_a_chain_needs_only_itself_and_the_first_part(nodes: tuple[Node, ...]) -> None:
    lanes = split(nodes)
    first = {node.name for node in lanes.first}
    for chain in lanes.chains:
        done = set(first)
        for node in chain:
            assert set(node.needs) <= done
            done.add(node.name)


def test_each_run_is_a_chain_and_the_report_comes_last(nodes: tuple[Node, ...]) -> None:
    lanes = split(nodes)
    assert len(lanes.chains) == 3 * 2 + 1
    assert [node.name for node in lanes.last] == ["report"]


def test_a_resumed_plan_splits_what_is_left(nodes: tuple[Node, ...]) -> None:
    left = [node for node in nodes if node.spec.stage in ("evaluate", "rescore", "report")]
    lanes = split(left)
    assert lanes.first == []
    assert all(len(chain) == 2 for chain in lanes.chains)


def test_nothing_left_gives_no_lanes() -> None:
    lanes = split([])
    assert (lanes.first, lanes.chains, lanes.last) == ([], [], [])


def test_an_accelerator_gets_one_lane() -> None:
    assert fit(Runtime(device="cuda"), 6).lanes == 1


def test_what_the_profile_says_stands() -> None:
    fitted = fit(Runtime(device="cpu", lanes=3, threads=5), 1)
    assert (fitted.lanes, fitted.threads) == (3, 5)
