"""Two training processes are one run: the first commits, one that dies ends all, another number goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from assay.contracts.errors import StageError
from assay.contracts.launch import Torchrun
from assay.contracts.scale import Scale
from assay.contracts.stage import Runtime
from assay.training.history import read_metrics, read_traces
from tests.faults.stages.small_training import TRAIN, contents, run, start, trained, wait_for

pytestmark = pytest.mark.slow


def processes(count: int, zero_stage: int) -> Runtime:
    return Runtime(launch=Torchrun(processes=count), scale=Scale(zero_stage=zero_stage))


def test_two_processes_make_one_artifact(whole: Path, fresh: Callable[[str], Path]) -> None:
    """Step 0 samples what one process samples; later steps learn from weights that differ in the last bits."""
    root = fresh("two")
    run(TRAIN, root, how=processes(2, zero_stage=0))
    one, two = trained(whole), trained(root)
    assert contents(two).keys() == contents(one).keys()
    begun = [[row for row in read_traces(artifact) if row.step == 0] for artifact in (two, one)]
    assert [row.text for row in begun[0]] == [row.text for row in begun[1]]
    assert [row.advantage for row in begun[0]] == pytest.approx([row.advantage for row in begun[1]])
    found, expected = read_metrics(two)[0], read_metrics(one)[0]
    for name in ("loss", "grad_norm", "learning_rate", "reward_mean", "kl", "ratio_max"):
        assert found[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-5), name
    end = json.loads(two.read_bytes("run.json"))
    assert (end["devices"], end["zero_stage"], end["steps_done"]) == (2, 0, 6)
    assert end["scale"] == Scale(zero_stage=0).model_dump()


AHEAD = ["train.rollout.max_staleness_steps=1", "train.steps=3"]


def test_two_processes_that_sample_ahead_learn_what_one_learns(fresh: Callable[[str], Path]) -> None:
    """Steps 0 and 1 are both written by the start model; the thread that samples gathers on a channel of its own."""
    pytest.importorskip("deepspeed")
    alone, shared = fresh("alone"), fresh("shared")
    run(TRAIN, alone, AHEAD)
    run(TRAIN, shared, AHEAD, processes(2, zero_stage=3))
    one, two = trained(alone, AHEAD), trained(shared, AHEAD)
    begun = [[row.text for row in read_traces(artifact) if row.step < 2] for artifact in (two, one)]
    assert begun[0] == begun[1]
    found, expected = read_metrics(two), read_metrics(one)
    assert [found[step]["staleness_steps"] for step in range(3)] == [0, 1, 1]
    for step in range(2):
        for name in ("loss", "grad_norm", "learning_rate", "reward_mean", "kl", "ratio_max", "importance_ratio_max"):
            assert found[step][name] == pytest.approx(expected[step][name], rel=1e-3, abs=1e-5), (step, name)


def test_one_that_is_killed_ends_all_and_one_alone_goes_on(whole: Path, fresh: Callable[[str], Path]) -> None:
    """ZeRO 3 in two processes until one is killed behind the first checkpoint, then torch in one (F18)."""
    pytest.importorskip("deepspeed")
    root = fresh("killed")
    killed = trained(root)
    process = start(TRAIN, root, how=processes(2, zero_stage=3))
    wait_for(killed, "checkpoints/step-000002/model.safetensors", process)
    os.kill(workers(process.pid)[-1], signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == StageError.exit_code
    assert "killed by SIGKILL, probably out of memory" in told.splitlines()[-1]
    assert killed.manifest() is None
    run(TRAIN, root)
    assert contents(killed).keys() == contents(trained(whole)).keys()
    end = json.loads(killed.read_bytes("run.json"))
    assert (end["devices"], end["resumed_from_step"], end["steps_done"]) == (1, 2, 6)


def workers(pid: int) -> list[int]:
    """The training processes below a step, by their argv."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    parents = {int(child): int(parent) for child, parent, _ in rows}

    def below(child: int) -> bool:
        return child == pid or (child in parents and below(parents[child]))

    found = [int(child) for child, _, args in rows if "assay.stages.worker" in args and "assay.launch" not in args]
    return [child for child in found if below(child)]
