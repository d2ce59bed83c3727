"""Two training processes are one run: the first commits, one that dies ends all, another number goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from assay.cli.options import load_plan
from assay.contracts.errors import StageError
from assay.contracts.launch import Torchrun
from assay.contracts.scale import Scale
from assay.contracts.stage import Runtime
from assay.plan.inputs import put_ablation
from assay.storage import open_store
from assay.storage.artifacts import Artifact
from assay.training.history import read_metrics, read_traces

REPOSITORY = Path(__file__).parents[3]
CONFIG = Path("configs/ablations/quickstart.yaml")
SMALL = [
    "seeds=[0]", "train.steps=4", "train.checkpoint_every_steps=2", "train.validate_every_steps=4",
    "train.prompts_per_step=4", "train.samples_per_prompt=4", "tasks.0.train=24", "tasks.0.validation=4",
    "tasks.0.heldout=8", "arms={plain: {}}",
]  # fmt: skip
TRAIN = "train plain/seed0"
PATIENCE_S = 900

pytestmark = pytest.mark.slow


def runtime(processes: int, zero_stage: int) -> Runtime:
    return Runtime(launch=Torchrun(processes=processes), scale=Scale(zero_stage=zero_stage))


def start(name: str, root: Path, how: Runtime) -> subprocess.Popen[str]:
    ablation = put_ablation(load_plan(CONFIG, SMALL).resolved, open_store(str(root)))
    command = [sys.executable, "-m", "assay.cli", "stage", name, "--ablation", ablation, "--root", str(root)]
    profile = root / "profile.yaml"  # JSON is YAML
    profile.write_text(json.dumps({"runtime": how.model_dump(mode="json")}))
    command += ["--profile", str(profile)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True)


def stage(name: str, root: Path, how: Runtime) -> None:
    process = start(name, root, how)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told


def trained(root: Path) -> Artifact:
    return Artifact(open_store(str(root)), "train", load_plan(CONFIG, SMALL).node(TRAIN).key)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Prepared once; `one` is trained by one process in this very way."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(REPOSITORY)
        folder = tmp_path_factory.mktemp("shared")
        stage("prepare", folder / "one", Runtime())
        for name in ("two", "killed"):
            shutil.copytree(folder / "one", folder / name)
        stage(TRAIN, folder / "one", Runtime())
        yield folder


def test_two_processes_make_one_artifact(roots: Path) -> None:
    """Step 0 samples what one process samples; later steps learn from weights that differ in the last bits."""
    stage(TRAIN, roots / "two", runtime(processes=2, zero_stage=0))
    one, two = trained(roots / "one"), trained(roots / "two")
    assert files(two) == files(one)
    begun = [[row for row in read_traces(run) if row.step == 0] for run in (two, one)]
    assert [row.text for row in begun[0]] == [row.text for row in begun[1]]
    assert [row.advantage for row in begun[0]] == pytest.approx([row.advantage for row in begun[1]])
    found, expected = read_metrics(two)[0], read_metrics(one)[0]
    for name in ("loss", "grad_norm", "learning_rate", "reward_mean", "kl", "ratio_max"):
        assert found[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-5), name
    end = json.loads(two.read_bytes("run.json"))
    assert (end["devices"], end["zero_stage"], end["steps_done"]) == (2, 0, 4)
    assert end["scale"] == Scale(zero_stage=0).model_dump()


def test_one_that_is_killed_ends_all_and_one_alone_goes_on(roots: Path) -> None:
    """ZeRO 3 in two processes until one is killed behind the first checkpoint, then torch in one (F18)."""
    pytest.importorskip("deepspeed")
    run = trained(roots / "killed")
    process = start(TRAIN, roots / "killed", runtime(processes=2, zero_stage=3))
    wait_for(run, "checkpoints/step-000002/model.safetensors", process)
    os.kill(workers(process.pid)[-1], signal.SIGKILL)
    _, told = process.communicate(timeout=120)
    assert process.returncode == StageError.exit_code
    assert "killed by SIGKILL, probably out of memory" in told.splitlines()[-1]
    assert run.manifest() is None
    stage(TRAIN, roots / "killed", Runtime())
    assert files(run) == files(trained(roots / "one"))
    end = json.loads(run.read_bytes("run.json"))
    assert (end["devices"], end["resumed_from_step"], end["steps_done"]) == (1, 2, 4)


def files(artifact: Artifact) -> set[str]:
    manifest = artifact.manifest()
    assert manifest is not None
    return {entry.path for entry in manifest.files}


def workers(pid: int) -> list[int]:
    """The training processes below a step, by their argv."""
    listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
    parents = {int(child): int(parent) for child, parent, _ in rows}

    def below(child: int) -> bool:
        return child == pid or (child in parents and below(parents[child]))

    found = [int(child) for child, _, args in rows if "assay.stages.worker" in args and "assay.launch" not in args]
    return [child for child in found if below(child)]


def wait_for(artifact: Artifact, path: str, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while path not in {info.path for info in artifact.list(path.partition("/")[0])}:
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
