"""A small training of the quickstart's model, each stage a process of its own, as the faults of this folder need it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from assay.cli.options import load_plan
from assay.contracts.stage import Runtime
from assay.plan.expand import Plan
from assay.plan.inputs import put_ablation
from assay.storage import open_store
from assay.storage.artifacts import Artifact

REPOSITORY = Path(__file__).parents[3]
SMALL = [
    "seeds=[0]", "train.steps=6", "train.checkpoint_every_steps=2", "train.validate_every_steps=3",
    "train.prompts_per_step=4", "train.samples_per_prompt=4", "tasks.0.train=24", "tasks.0.validation=4",
    "tasks.0.heldout=8", "arms={adaptive sampling: {prompts: {allocation: adaptive}}}",
    "curriculum.samples_per_prompt=4",
]  # fmt: skip
TRAIN = "train adaptive sampling/seed0"
PATIENCE_S = 900


def start(name: str, root: Path, changes: Sequence[str] = (), how: Runtime | None = None) -> subprocess.Popen[str]:
    """The stage as `assay stage` runs it."""
    ablation = put_ablation(plan(changes).resolved, open_store(str(root)))
    profile = root / "profile.yaml"  # JSON is YAML
    profile.write_text(json.dumps({"runtime": (how or Runtime()).model_dump(mode="json")}))
    command = [sys.executable, "-m", "assay.cli", "stage", name, "--ablation", ablation, "--root", str(root)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*command, "--profile", str(profile)], cwd=REPOSITORY, env=environment, stderr=subprocess.PIPE, text=True
    )


def run(name: str, root: Path, changes: Sequence[str] = (), how: Runtime | None = None) -> None:
    """The stage, to its good end."""
    process = start(name, root, changes, how)
    _, told = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, told


def trained(root: Path, changes: Sequence[str] = ()) -> Artifact:
    """What the training makes, or has made so far."""
    return Artifact(open_store(str(root)), "train", plan(changes).node(TRAIN).key)


def plan(changes: Sequence[str]) -> Plan:
    return load_plan(REPOSITORY / "configs/ablations/quickstart.yaml", [*SMALL, *changes])


def wait_for(artifact: Artifact, path: str, process: subprocess.Popen[str]) -> None:
    """Until the process has written a file."""
    deadline = time.monotonic() + PATIENCE_S
    while path not in {info.path for info in artifact.list(path.partition("/")[0])}:
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def contents(artifact: Artifact) -> dict[str, str]:
    """Digest of each file of a training that is done."""
    manifest = artifact.manifest()
    assert manifest is not None
    return {entry.path: entry.sha256 for entry in manifest.files}


def learnt(artifact: Artifact) -> dict[str, str]:
    """Digest of each checkpoint and trace."""
    found = {path: sha256 for path, sha256 in contents(artifact).items() if path.startswith(("checkpoints/", "trace/"))}
    assert found
    return found
