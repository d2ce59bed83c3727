"""Training in processes of its own is the same training: same argv-to-manifest path, same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.launch import Torchrun
from assay.contracts.manifest import Manifest
from assay.contracts.scale import Scale
from assay.contracts.stage import Runtime
from assay.plan.expand import expand
from assay.plan.inputs import read_ablation
from assay.storage import Artifact, open_store
from assay.training.history import read_metrics, read_traces
from tests.pipeline.conftest import SmallRun

pytestmark = pytest.mark.slow

STEP = """
import json, sys
from assay.stages import train
shown = train.main(**json.loads(sys.argv[1]))
print(json.dumps(shown.metrics))
"""


@pytest.fixture(scope="module")
def elsewhere(small_run: SmallRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The artifacts of the run, less those of training."""
    root = tmp_path_factory.mktemp("launched") / "artifacts"
    shutil.copytree(small_run.root, root)
    shutil.rmtree(root / "train")
    return root


def launched(elsewhere: Path, runtime: Runtime) -> tuple[Manifest, dict[str, float]]:
    """The training step of the run, with its processes started as `runtime` says. Its manifest, and what it shows."""
    (ablation,) = (path.relative_to(elsewhere).as_posix() for path in (elsewhere / "ablations").iterdir())
    store = open_store(str(elsewhere))
    node = next(node for node in expand(read_ablation(ablation, store)).nodes if node.spec.stage == "train")
    step = {"ablation": ablation, "node": node.name, "key": node.key, "root": str(elsewhere)}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-c", STEP, json.dumps(step | {"runtime": runtime.model_dump_json()})]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    manifest = Artifact(store, "train", node.key).manifest()
    assert manifest is not None
    return manifest, json.loads(done.stdout.splitlines()[-1])


def test_torchrun_gives_the_same_weights(small_run: SmallRun, elsewhere: Path) -> None:
    manifest, shown = launched(elsewhere, Runtime(launch=Torchrun()))
    inline = Artifact(open_store(str(small_run.root)), "train", manifest.key).manifest()
    assert inline is not None
    assert weights(manifest) == weights(inline) != {}
    assert shown == manifest.metrics


@pytest.mark.parametrize("zero_stage", [0, 3])
def test_two_processes_share_a_run_that_one_of_them_commits(
    small_run: SmallRun, elsewhere: Path, zero_stage: Any
) -> None:
    """What the first step sampled is what one process samples; later steps differ in the last bits of their weights."""
    if zero_stage:
        pytest.importorskip("deepspeed")
    shutil.rmtree(elsewhere / "train", ignore_errors=True)
    runtime = Runtime(launch=Torchrun(processes=2), scale=Scale(zero_stage=zero_stage))
    manifest, _ = launched(elsewhere, runtime)
    inline = Artifact(open_store(str(small_run.root)), "train", manifest.key)
    shared = Artifact(open_store(str(elsewhere)), "train", manifest.key)
    mine, theirs = ([row for row in read_traces(run) if row.step == 0] for run in (shared, inline))
    assert [row.text for row in mine] == [row.text for row in theirs]
    assert [row.advantage for row in mine] == pytest.approx([row.advantage for row in theirs])
    assert {file.path for file in manifest.files} == {file.path for file in inline.manifest().files}  # type: ignore[union-attr]
    end = json.loads(shared.read_bytes("run.json"))
    assert (end["devices"], end["zero_stage"]) == (2, zero_stage)
    for step in (0, 1):
        found, expected = read_metrics(shared)[step], read_metrics(inline)[step]
        for name in ("loss", "grad_norm", "learning_rate", "reward_mean", "kl", "ratio_max"):
            assert found[name] == pytest.approx(expected[name], rel=1e-3, abs=1e-5), (step, name)


def weights(manifest: object) -> dict[str, str]:
    """Digest of every checkpoint."""
    files = manifest.files  # type: ignore[attr-defined]
    return {file.path: file.sha256 for file in files if file.path.endswith("model.safetensors")}
