"""vLLM and several processes: an engine inside each of two that train, and one engine whose workers share a model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.training.processes import places

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
from tests.parity.sampling.others import IN_FP32

distributed.init_process_group("gloo")
rank, cpu = distributed.get_rank(), torch.device("cpu")
spec = ModelSpec(path="models/sums-500k", kind="base")
shape = EngineShape(cpu, torch.float32, 64, tensor_parallel=1, memory_share=0.9)
sampler = VllmSampler(spec, VllmSettings(cpu_cache_bytes=1 << 28), shape, IN_FP32)
mine = [SampleRequest((40 + i, 7, 9), 100 * rank + i, 4 + 12 * rank, 1.0) for i in range(3 + 5 * rank)]
written = sampler.generate(mine) if rank else []
model = load_model(spec, cpu)
with torch.no_grad():
    model.model.embed_tokens.weight.mul_(1.05)
sampler.update_weights(model.named_parameters(), score_with(model))
gap = require_agreement(sampler, score_with(model), IN_FP32)
with open(f"{sys.argv[1]}/{rank}.json", "w") as file:
    json.dump({"gap": gap, "written": [len(c.tokens) for c in written]}, file)
distributed.destroy_process_group()
"""

SHARED = """
import json, sys
import torch
from assay.contracts.ablation import ModelSpec
from assay.contracts.sampling import VllmSettings
from assay.contracts.stage import Runtime
from assay.sampling.agreement import require_agreement, score_with
from assay.sampling.engines import Samplers
from assay.sampling.models import load_model, load_tokenizer
from tests.parity.sampling.others import IN_FP32, PROBES, changed

def main(folder):
    first, second = ModelSpec(path="models/sums-500k", kind="base"), ModelSpec(path=f"{folder}/other", kind="base")
    other = changed(first, 1)
    other.save_pretrained(second.path)
    load_tokenizer(first).save_pretrained(second.path)
    settings = VllmSettings(cpu_cache_bytes=1 << 28, max_model_len=128)
    samplers = Samplers(Runtime(device="cpu", sampler="vllm", vllm=settings), tensor_parallel=2, probes=PROBES)
    models = [load_model(first, torch.device("cpu")), other]
    gaps = [require_agreement(samplers.of(s), score_with(m), IN_FP32) for s, m in zip((first, second), models)]
    with open(f"{folder}/gaps.json", "w") as file:
        json.dump(gaps, file)

if __name__ == "__main__":
    main(sys.argv[1])
"""


def run(tmp_path: Path, code: str, *launch: str) -> None:
    script = tmp_path / "process.py"
    script.write_text(code)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    argv = [sys.executable, *launch, str(script), str(tmp_path)]
    done = subprocess.run(argv, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_process_has_an_engine_of_its_own(tmp_path: Path) -> None:
    """One has nothing to write while the other writes: neither waits for the other."""
    run(tmp_path, PROCESS, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    found = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    assert max(each["gap"] for each in found) < 1e-5
    assert [len(each["written"]) for each in found] == [0, 8]


def test_two_processes_train_beside_vllm_with_weights_in_pieces(tmp_path: Path) -> None:
    """ZeRO 3: each gathers the new weights, and scores the probes with all the others. On GPUs: `tests/gpu`."""
    pytest.importorskip("deepspeed")
    launch = [sys.executable, "-m", "tests.gpu.training_with_vllm", str(tmp_path), "cpu", "3"]
    log = tmp_path / "log"
    with log.open("w") as told:
        ranks = [os.environ | {"OMP_NUM_THREADS": "1"} | place for place in places(2)]
        started = [subprocess.Popen(launch, env=rank, cwd=REPOSITORY, stdout=told, stderr=told) for rank in ranks]
        codes = [process.wait(900) for process in started]
    assert codes == [0, 0], log.read_text()
    assert max(json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)) < 1e-5


def test_workers_that_share_a_model_write_with_the_weights_of_the_next_one(tmp_path: Path) -> None:
    """Tensors of this process cannot be handed to theirs: each reads its share from the model's files."""
    run(tmp_path, SHARED)
    gaps = json.loads((tmp_path / "gaps.json").read_text())
    assert len(gaps) == 2
    assert max(gaps) < 1e-5
