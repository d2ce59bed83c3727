"""vLLM on GPUs: weights handed over in the process and over NCCL, memory given back, a model shared by two GPUs, and
training with it in one process and in two.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import InvariantError
from assay.contracts.precision import BOUNDS
from assay.contracts.sampling import SampleRequest, VllmSettings
from assay.contracts.seeds import derive
from assay.sampling.agreement import Comparison, require_agreement, score_with
from assay.training.background import Background
from tests.parity.sampling.others import PROBES
from tests.parity.training.processes import places

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
pytest.importorskip("vllm", reason="vLLM is not installed: pip install -e '.[serve]'", exc_type=ImportError)

ROOT = Path(__file__).parents[2]
GPU = torch.device("cuda:0")
COMPARISON = {
    torch.bfloat16: Comparison(PROBES, BOUNDS["bf16"].gap),
    torch.float32: Comparison(PROBES, BOUNDS["fp32"].gap),
}
two_gpus = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")


@pytest.fixture(scope="module")
def models(make_model: Any) -> tuple[Any, Any]:
    """Two of one shape, with the output layer tied to the embedding; heads as wide as every attention kernel takes."""
    shape = {"hidden_size": 256, "intermediate_size": 512, "head_dim": 64}
    one, other = (make_model(seed=seed, spread=0.1, **shape) for seed in (0, 1))
    return one, other


@pytest.fixture(scope="module")
def spec(models: tuple[Any, Any], byte_tokenizer: Any, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    folder: Path = tmp_path_factory.mktemp("model")
    models[0].save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return ModelSpec(path=str(folder), kind="base")


def start(spec: ModelSpec, dtype: torch.dtype = torch.bfloat16, **shape: Any) -> Any:
    from assay.sampling.vllm_engine import EngineShape, VllmSampler

    parallel = shape.pop("tensor_parallel", 1)
    wanted = EngineShape(GPU, dtype, 64, tensor_parallel=parallel, memory_share=0.3, **shape)
    return VllmSampler(spec, VllmSettings(enforce_eager=True), wanted, COMPARISON[dtype])


@pytest.fixture
def closed() -> Iterator[list[Any]]:
    """Engines to end with the test: each holds a share of the GPU."""
    started: list[Any] = []
    yield started
    from vllm.distributed.parallel_state import cleanup_dist_env_and_memory

    for sampler in started:
        sampler.llm.llm_engine.engine_core.shutdown()
    cleanup_dist_env_and_memory()


def requests(count: int = 32) -> list[SampleRequest]:
    return [SampleRequest(tuple(range(i, i + 20)), derive(i), 16, 1.0) for i in range(count)]


def require_update(sampler: Any, model: Any, dtype: torch.dtype) -> None:
    """The sampler writes as `model` scores once it has its weights, and not before."""
    on_gpu = model.to(GPU, dtype)
    with pytest.raises(InvariantError, match="F25"):
        require_agreement(sampler, score_with(on_gpu), COMPARISON[dtype])
    sampler.update_weights(on_gpu.named_parameters(), score_with(on_gpu))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32], ids=str)
def test_weights_go_over_within_the_process(
    spec: ModelSpec, models: tuple[Any, Any], dtype: torch.dtype, closed: list[Any]
) -> None:
    sampler = start(spec, dtype)
    closed.append(sampler)
    require_update(sampler, models[1], dtype)
    require_update(sampler, models[0], dtype)


def test_rest_gives_the_memory_back_and_the_same_seeds_write_the_same_after_it(
    spec: ModelSpec, models: tuple[Any, Any], closed: list[Any]
) -> None:
    sampler = start(spec, sleeps=True)
    closed.append(sampler)
    before, (free_awake, total) = sampler.generate(requests()), torch.cuda.mem_get_info()
    sampler.rest()
    free_asleep, _ = torch.cuda.mem_get_info()
    assert free_asleep - free_awake > 0.2 * total, "of the 0.3 it was given"
    sampler.rest()
    assert [c.tokens for c in sampler.generate(requests())] == [c.tokens for c in before]
    sampler.rest()
    require_update(sampler, models[1], torch.bfloat16)


def test_another_thread_writes_with_weights_that_are_copied_while_it_waits(
    spec: ModelSpec, models: tuple[Any, Any], closed: list[Any]
) -> None:
    """As sampling ahead does: copied on the trainer's stream, read on vLLM's, and the copies let go of at once."""
    sampler, background = start(spec), Background("rollouts")
    closed.append(sampler)
    for model in (*models, *models):
        on_gpu = model.to(GPU, torch.bfloat16)
        copies = [(name, weight.detach().clone()) for name, weight in on_gpu.named_parameters()]
        handed = background.submit(lambda copies=copies: sampler.update_weights(copies, None))
        written = background.submit(lambda: sampler.generate(requests()))
        handed.result(300)
        del copies, handed
        junk = [torch.full_like(weight, 7.0) for weight in on_gpu.parameters()]
        assert [c.tokens for c in written.result(300)] == [c.tokens for c in sampler.generate(requests())]
        assert require_agreement(sampler, score_with(on_gpu), COMPARISON[torch.bfloat16]) < BOUNDS["bf16"].gap
        del junk
    assert background.close(5)


def trained(folder: Path, processes: int, zero_stage: int) -> list[float]:
    """The gap of each process after an update, of `tests.gpu.training_with_vllm`."""
    argv = [sys.executable, "-m", "tests.gpu.training_with_vllm", str(folder), "cuda", str(zero_stage)]
    log = folder / "log"
    with log.open("w") as told:
        ranks = [os.environ | place for place in places(processes)]
        started = [subprocess.Popen(argv, env=rank, cwd=ROOT, stdout=told, stderr=told) for rank in ranks]
        codes = [process.wait(900) for process in started]
    assert codes == [0] * processes, log.read_text()
    return [json.loads((folder / f"{rank}.json").read_text()) for rank in range(processes)]


@pytest.mark.parametrize("zero_stage", [0, 3])
def test_vllm_rests_while_a_policy_trains_and_then_writes_as_it_scores(tmp_path: Path, zero_stage: int) -> None:
    assert max(trained(tmp_path, 1, zero_stage)) < BOUNDS["fp32"].gap


@two_gpus
@pytest.mark.parametrize("zero_stage", [0, 3])
def test_each_of_two_processes_writes_on_its_own_gpu(tmp_path: Path, zero_stage: int) -> None:
    assert max(trained(tmp_path, 2, zero_stage)) < BOUNDS["fp32"].gap


@two_gpus
def test_weights_go_over_nccl_to_gpus_of_their_own(spec: ModelSpec, models: tuple[Any, Any], closed: list[Any]) -> None:
    sampler = start(spec, apart=True)
    closed.append(sampler)
    require_update(sampler, models[1], torch.bfloat16)
    require_update(sampler, models[0], torch.bfloat16)


@two_gpus
def test_two_gpus_share_a_model(
    spec: ModelSpec, models: tuple[Any, Any], byte_tokenizer: Any, tmp_path: Path, closed: list[Any]
) -> None:
    sampler = start(spec, tensor_parallel=2)
    closed.append(sampler)
    first, second = (score_with(model.to(GPU, torch.bfloat16)) for model in models)
    assert require_agreement(sampler, first, COMPARISON[torch.bfloat16]) < BOUNDS["bf16"].gap
    assert len(sampler.generate(requests())) == 32
    models[1].save_pretrained(tmp_path)
    byte_tokenizer.save_pretrained(tmp_path)
    sampler.read_weights(ModelSpec(path=str(tmp_path), kind="base"), second)
