"""Side by side on one machine. kfp.local runs one task after another, so independent work goes through lanes.

    first    what several others need: prepare, curriculum
    lanes    chains that need nothing of each other: train -> export -> evaluate -> rescore of one run; the base model's
    last     what needs several chains: the report

Each part is the same pipeline file, built over its own nodes; the store carries results from one to the next.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from assay.contracts.stage import Runtime
from assay.plan.expand import Node
from assay.stages.orphan import end_with_run

MOST_LANES = 4


@dataclass(frozen=True, slots=True)
class Lanes:
    """Nodes in three parts. The order within a list is the plan's."""

    first: list[Node]
    chains: list[list[Node]]
    last: list[Node]


def split(nodes: Sequence[Node]) -> Lanes:
    """The nodes as lanes. What is not among them is committed already."""
    last = [node for node in nodes if node.spec.stage == "report"]
    first = _shared([node for node in nodes if node not in last])
    rest = [node for node in nodes if node not in first and node not in last]
    return Lanes(first, _chains(rest), last)


def _shared(nodes: Sequence[Node]) -> list[Node]:
    """Nodes that more than one other needs, and what those need."""
    needed = [name for node in nodes for name in node.needs]
    hubs = {name for name in needed if needed.count(name) > 1}
    for node in reversed(nodes):
        if node.name in hubs:
            hubs.update(node.needs)
    return [node for node in nodes if node.name in hubs]


def _chains(nodes: Sequence[Node]) -> list[list[Node]]:
    """Connected groups of nodes."""
    chain_of: dict[str, list[Node]] = {}
    for node in nodes:
        chain = next((chain_of[name] for name in node.needs if name in chain_of), [])
        chain.append(node)
        chain_of[node.name] = chain
    return list({id(chain): chain for chain in chain_of.values()}.values())


def fit(runtime: Runtime, chains: int) -> Runtime:
    """The runtime with lanes and threads filled in: all cores, shared out; one lane where there is an accelerator."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    accelerated = runtime.device == "cuda" or (runtime.device == "auto" and shutil.which("nvidia-smi") is not None)
    most = 1 if accelerated else min(cores, MOST_LANES, max(1, chains))
    lanes = runtime.lanes or most
    processes = lanes * runtime.launch.world_size
    return runtime.model_copy(update={"lanes": lanes, "threads": runtime.threads or max(1, cores // processes)})


def run_parts(lanes: Lanes, count: int, run_nodes: Callable[[list[Node]], None]) -> None:
    """Run the first part, then the chains `count` at a time in processes of their own, then the last part.

    A chain that fails lets those that already run finish; the first failure is raised.
    """
    if lanes.first:
        run_nodes(lanes.first)
    with ProcessPoolExecutor(count, mp_context=get_context("spawn"), initializer=end_with_run) as pool:
        futures = [pool.submit(run_nodes, chain) for chain in lanes.chains]
        _wait(futures)
    if lanes.last:
        run_nodes(lanes.last)


def _wait(futures: list[Future[None]]) -> None:
    try:
        for future in futures:
            future.result()
    finally:
        for future in futures:
            future.cancel()
