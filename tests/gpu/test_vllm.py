"""vLLM on GPUs: weights handed over in the process and over NCCL, memory given back, a model shared by two GPUs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import InvariantError
from assay.contracts.sampling import SampleRequest, VllmSettings
from assay.contracts.seeds import derive
from assay.sampling.agreement import require_agreement, score_with

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
pytest.importorskip("vllm", reason="vLLM is not installed: pip install -e '.[serve]'", exc_type=ImportError)

GPU = torch.device("cuda:0")
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
    return VllmSampler(spec, VllmSettings(enforce_eager=True), wanted)


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
        require_agreement(sampler, score_with(on_gpu), dtype)
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


@two_gpus
def test_weights_go_over_nccl_to_gpus_of_their_own(spec: ModelSpec, models: tuple[Any, Any], closed: list[Any]) -> None:
    sampler = start(spec, apart=True)
    closed.append(sampler)
    require_update(sampler, models[1], torch.bfloat16)
    require_update(sampler, models[0], torch.bfloat16)


@two_gpus
def test_two_gpus_share_a_model(spec: ModelSpec, models: tuple[Any, Any], closed: list[Any]) -> None:
    sampler = start(spec, tensor_parallel=2)
    closed.append(sampler)
    assert require_agreement(sampler, score_with(models[0].to(GPU, torch.bfloat16)), torch.bfloat16) < 0.05
    assert len(sampler.generate(requests())) == 32
