"""Training in a process of its own is the same training: same argv-to-manifest path, same weights."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from assay.contracts.launch import Torchrun
from assay.contracts.stage import Runtime
from assay.plan.expand import expand
from assay.plan.inputs import read_ablation
from assay.storage import Artifact, open_store
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


def test_torchrun_gives_the_same_weights(small_run: SmallRun, elsewhere: Path) -> None:
    (ablation,) = (path.relative_to(elsewhere).as_posix() for path in (elsewhere / "ablations").iterdir())
    store = open_store(str(elsewhere))
    node = next(node for node in expand(read_ablation(ablation, store)).nodes if node.spec.stage == "train")
    runtime = Runtime(launch=Torchrun()).model_dump_json()
    step = {"ablation": ablation, "node": node.name, "key": node.key, "root": str(elsewhere), "runtime": runtime}
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    argv = [sys.executable, "-c", STEP, json.dumps(step)]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    inline = Artifact(open_store(str(small_run.root)), "train", node.key).manifest()
    launched = Artifact(store, "train", node.key).manifest()
    assert inline is not None
    assert launched is not None
    assert weights(launched) == weights(inline) != {}
    assert json.loads(done.stdout.splitlines()[-1]) == launched.metrics


def weights(manifest: object) -> dict[str, str]:
    """Digest of every checkpoint."""
    files = manifest.files  # type: ignore[attr-defined]
    return {file.path: file.sha256 for file in files if file.path.endswith("model.safetensors")}
