"""vLLM inside each of two training processes, as torchrun starts them: each writes its own requests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("vllm", reason="vLLM is not installed: pip install -e '.[serve]'", exc_type=ImportError)
pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[3]
PROCESS = """
import json, os, sys
import torch
from torch import distributed
from assay.contracts.ablation import ModelSpec
from assay.contracts.sampling import SampleRequest, VllmSettings
from assay.sampling.agreement import require_agreement, score_with
from assay.sampling.models import load_model
from assay.sampling.vllm_engine import EngineShape, VllmSampler

distributed.init_process_group("gloo")
rank, cpu = distributed.get_rank(), torch.device("cpu")
spec = ModelSpec(path="models/sums-500k", kind="base")
shape = EngineShape(cpu, torch.float32, 64, tensor_parallel=1, memory_share=0.9)
sampler = VllmSampler(spec, VllmSettings(cpu_cache_bytes=1 << 28), shape)
mine = [SampleRequest((40 + i, 7, 9), 100 * rank + i, 4 + 12 * rank, 1.0) for i in range(3 + 5 * rank)]
written = sampler.generate(mine) if rank else []
model = load_model(spec, cpu)
with torch.no_grad():
    model.model.embed_tokens.weight.mul_(1.05)
sampler.update_weights(model.named_parameters(), score_with(model))
gap = require_agreement(sampler, score_with(model), torch.float32)
with open(f"{sys.argv[1]}/{rank}.json", "w") as file:
    json.dump({"gap": gap, "written": [len(c.tokens) for c in written]}, file)
distributed.destroy_process_group()
"""


def test_each_process_has_an_engine_of_its_own(tmp_path: Path) -> None:
    """One has nothing to write while the other writes: neither waits for the other."""
    script = tmp_path / "process.py"
    script.write_text(PROCESS)
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    argv = [*launch, str(script), str(tmp_path)]
    done = subprocess.run(argv, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert max(each["gap"] for each in found) < 1e-5
    assert [len(each["written"]) for each in found] == [0, 8]
