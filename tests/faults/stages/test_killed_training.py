"""kill -9 at any moment and run again: it continues, and the final weights are the same to the byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.cli.options import load_plan
from assay.contracts.manifest import Manifest
from assay.plan.inputs import put_ablation
from assay.storage import open_store
from assay.storage.artifacts import Artifact

REPOSITORY = Path(__file__).parents[3]
CONFIG = Path("configs/ablations/quickstart.yaml")
SMALL = [
    "seeds=[0]", "train.steps=6", "train.checkpoint_every_steps=2", "train.validate_every_steps=3",
    "train.prompts_per_step=4", "train.samples_per_prompt=4", "tasks.0.train=24", "tasks.0.validation=4",
    "tasks.0.heldout=8", "arms={adaptive sampling: {prompts: {allocation: adaptive}}}",
    "curriculum.samples_per_prompt=4",
]  # fmt: skip
TRAIN = "train adaptive sampling/seed0"

pytestmark = pytest.mark.slow


def stage(name: str, root: Path, settings: list[str] = SMALL) -> subprocess.Popen[bytes]:
    ablation = put_ablation(load_plan(CONFIG, settings).resolved, open_store(str(root)))
    command = [sys.executable, "-m", "assay.cli", "stage", name, "--ablation", ablation, "--root", str(root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command, cwd=REPOSITORY, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )


def test_a_training_killed_between_checkpoints_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    key = load_plan(CONFIG, SMALL).node(TRAIN).key
    for root in (tmp_path / "whole", tmp_path / "killed"):
        for name in ("prepare", "curriculum"):
            assert stage(name, root).wait(300) == 0
    assert stage(TRAIN, tmp_path / "whole").wait(300) == 0

    killed = Artifact(open_store(str(tmp_path / "killed")), "train", key)
    for checkpoint in ("step-000002", "step-000004"):
        process = stage(TRAIN, tmp_path / "killed")
        wait_for(killed, f"checkpoints/{checkpoint}/model.safetensors", process)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert killed.manifest() is None
    assert stage(TRAIN, tmp_path / "killed").wait(300) == 0

    whole = Artifact(open_store(str(tmp_path / "whole")), "train", key)
    assert weights(killed.manifest()) == weights(whole.manifest())


def wait_for(artifact: Artifact, path: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while path not in {info.path for info in artifact.list(path.partition("/")[0])}:
        assert process.poll() is None, "training ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)


def weights(manifest: Manifest | None) -> dict[str, str]:
    assert manifest is not None
    found = {entry.path: entry.sha256 for entry in manifest.files if entry.path.startswith(("checkpoints/", "trace/"))}
    assert len(found) == 6
    return found
