"""The vLLM engine: the requests, seeds, tokens and log-probs of the torch engine, written many times faster on a GPU.

The engine runs in this process, so new weights reach it as tensors and never touch a disk. What makes it agree with the
trainer:

    processed_logprobs    log-probs of the distribution sampled from, temperature applied (F09)
    own generator         one per request, seeded by it: a sample does not depend on its neighbours' seeds (F01)
    token ids             prompts go in and completions come out as ids; the text is decoded here, by the one rule (F10)
    require_agreement     after each update, log-probs beside the trainer's: a stale layer stops the run (F25)
    own stream            vLLM's work is in order whatever thread asks for it, on this process's accelerator
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import ModelError, SpecError, StageError
from assay.contracts.sampling import Completion, Progress, SampleRequest, Score, VllmSettings
from assay.sampling.agreement import Comparison, require_agreement
from assay.sampling.models import end_token_ids, load_generation_config, load_tokenizer, model_location
from assay.sampling.requests import require_room
from assay.sampling.stops import completion_text
from assay.sampling.transfer import (
    PATIENCE_S,
    InProcess,
    OverNCCL,
    Transfer,
    answering,
    read_files,
    visible_devices,
)

_IN_PROCESS = {"VLLM_ENABLE_V1_MULTIPROCESSING": "0"}
_DEFAULTS = {
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # trainer and sampler take turns on the same cores
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
"""Read by vLLM when it is imported and when an engine starts; a person's own settings come first."""


@dataclass(frozen=True, slots=True)
class EngineShape:
    """What an engine is made for."""

    device: torch.device
    dtype: torch.dtype
    max_batch_sequences: int
    tensor_parallel: int
    memory_share: float
    sleeps: bool = False
    """Gives its memory back when told to rest."""
    apart: bool = False
    """On the accelerators after the trainer's, in processes of its own."""

    @property
    def in_process(self) -> bool:
        """Whether vLLM computes in this process."""
        return self.tensor_parallel == 1 and not self.apart


class VllmSampler:
    """Implements `assay.contracts.sampling.Sampler` with a copy of the model's weights."""

    def __init__(self, model: ModelSpec, settings: VllmSettings, shape: EngineShape, comparison: Comparison) -> None:
        own = shape.device.type == "cuda" and shape.in_process
        self.stream = torch.cuda.Stream(shape.device) if own else None  # type: ignore[no-untyped-call]
        self.tokenizer = load_tokenizer(model)
        self.end_tokens = end_token_ids(load_generation_config(model), self.tokenizer)
        self.comparison = comparison
        self.sleeps = shape.sleeps
        self.asleep = False
        with self._on_own_stream():
            self.llm = start_engine(model, settings, shape)
            self.transfer: Transfer = OverNCCL(self.llm, shape.tensor_parallel) if shape.apart else InProcess(self.llm)

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        """Completions in the order of the requests. Raises SpecError for a request longer than max_model_len."""
        require_room(requests, self.llm.model_config.max_model_len, "runtime.vllm.max_model_len")
        with self._on_own_stream():
            self._wake()
            completions = self._run(requests, progress)
        return [completions[place] for place in range(len(requests))]

    def rest(self) -> None:
        """Give weights and KV cache back to the trainer. vLLM keeps the weights in host memory meanwhile."""
        if self.sleeps and not self.asleep:
            with self._on_own_stream():
                self.llm.sleep(level=1)
            self.asleep = True

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]], score: Score | None) -> None:
        """Write with these weights from now on, none of them stale."""
        self._replace_weights(lambda: self.transfer.send(weights), score)

    def read_weights(self, model: ModelSpec, score: Score) -> None:
        """Write with the weights of another model of this shape from now on; each worker reads them from its folder,
        as tensors of this process do not reach the workers of `tensor_parallel`."""
        self._replace_weights(lambda: read_files(self.llm, model_location(model)), score)

    def _replace_weights(self, replace: Callable[[], None], score: Score | None) -> None:
        """Raises StageError where keys and values of the old weights would be used, InvariantError for stale ones."""
        with self._on_own_stream():
            self._wake()
            replace()
            emptied = self.llm.reset_prefix_cache()
        if not emptied:
            problem = "vLLM keeps keys and values of the old weights, as a request still holds them (F25)"
            raise StageError(f"{problem}. Run the stage again, and report it")
        if score is not None:
            require_agreement(self, score, self.comparison)

    def _on_own_stream(self) -> AbstractContextManager[Any]:
        """CUDA's current device and stream are a thread's own, and vLLM remembers the stream it began on: another
        thread would read tokens before they are drawn, or launch kernels on the first device."""
        return torch.cuda.stream(self.stream)

    def _wake(self) -> None:
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False

    def _params(self, request: SampleRequest) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            temperature=request.temperature,
            seed=request.seed,
            max_tokens=request.max_tokens,
            stop=list(request.stop),
            stop_token_ids=list(self.end_tokens),
            detokenize=bool(request.stop),
            skip_special_tokens=False,
            logprobs=0,
            flat_logprobs=True,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _run(self, requests: Sequence[SampleRequest], progress: Progress | None) -> dict[int, Completion]:
        """Step the engine until every request is done; what is left of them when it fails is taken back."""
        engine = self.llm.llm_engine
        completions: dict[int, Completion] = {}
        try:
            for place, request in enumerate(requests):
                prompt = {"prompt_token_ids": list(request.prompt_tokens)}
                engine.add_request(str(place), prompt, self._params(request))
            for ended in self._ended(requests):
                completions |= ended
                if progress:
                    progress(ended)
        finally:
            engine.abort_request([str(place) for place in range(len(requests)) if place not in completions])
        return completions

    def _ended(self, requests: Sequence[SampleRequest]) -> Iterator[dict[int, Completion]]:
        """Completions by the place of their request, as they end. Raises StageError when none does for long (F07)."""
        engine, deadline = self.llm.llm_engine, time.monotonic() + PATIENCE_S
        with answering("vLLM to end a completion"):
            while engine.has_unfinished_requests():
                outputs = {int(output.request_id): output.outputs[0] for output in engine.step() if output.finished}
                if outputs:
                    yield {place: self._completion(requests[place], output) for place, output in outputs.items()}
                    deadline = time.monotonic() + PATIENCE_S
                elif time.monotonic() > deadline:
                    raise TimeoutError(f"none ended for {PATIENCE_S:.0f} s")

    def _completion(self, request: SampleRequest, output: Any) -> Completion:
        if output.finish_reason not in ("stop", "length"):
            raise StageError(f"vLLM ended a request with {output.finish_reason!r}. Its log says why")
        tokens = tuple(output.token_ids)
        shown = tokens[:-1] if tokens and tokens[-1] in self.end_tokens else tokens
        text = completion_text(self.tokenizer, shown, request.stop)
        return Completion(text, tokens, tuple(output.logprobs.logprobs), output.finish_reason)


def start_engine(model: ModelSpec, settings: VllmSettings, shape: EngineShape) -> Any:
    """An engine with the model's weights from its files. Raises SpecError for settings that vLLM refuses, ModelError
    for a folder without safetensors.
    """
    _require_safetensors(model)
    os.environ.update(_DEFAULTS | dict(os.environ) | _IN_PROCESS | _precision())
    from vllm import LLM

    try:
        with visible_devices(shape.tensor_parallel if shape.apart else 0):
            return LLM(**_options(model, settings, shape), **_on_device(settings, shape))
    except ValueError as error:
        raise SpecError("runtime.vllm", f"vLLM does not start ({error})", "Change what it names") from error


def _require_safetensors(model: ModelSpec) -> None:
    folder = Path(model_location(model))
    if folder.is_dir() and not any(folder.glob("*.safetensors")):
        raise ModelError(model.path, "holds no *.safetensors", "Name a model with safetensors weights")


def _precision() -> dict[str, str]:
    """vLLM's products in fp32 are as the trainer's. Left alone it sets torch's precision for the whole process to its
    own, and its attention, Triton's, rounds them to TF32."""
    precision = torch.get_float32_matmul_precision()
    triton = "ieee" if precision == "highest" else "tf32"
    return {"VLLM_FLOAT32_MATMUL_PRECISION": precision, "TRITON_F32_DEFAULT": triton}


def _options(model: ModelSpec, settings: VllmSettings, shape: EngineShape) -> dict[str, Any]:
    return {
        "model": model_location(model),
        "revision": model.revision,
        "load_format": "safetensors",  # `auto` takes pickled weights where there are no others
        "dtype": str(shape.dtype).removeprefix("torch."),
        "max_model_len": settings.max_model_len or None,
        "max_num_seqs": shape.max_batch_sequences,
        "tensor_parallel_size": shape.tensor_parallel,
        "distributed_executor_backend": _executor(shape),
        "logprobs_mode": "processed_logprobs",
        "generation_config": "vllm",  # no top-p or top-k out of the model's folder (F09)
        "enable_prefix_caching": True,
    }


def _executor(shape: EngineShape) -> str | None:
    """Where the workers live: in processes of their own, in each of several training processes, or as vLLM likes."""
    if shape.apart:
        return "mp"
    return "external_launcher" if distributed.is_initialized() and distributed.get_world_size() > 1 else None


def _on_device(settings: VllmSettings, shape: EngineShape) -> dict[str, Any]:
    """A CPU takes prompts whole: after part of one vLLM winds the request's generator back, which a CPU's cannot do."""
    if shape.device.type == "cpu":
        cache = settings.cpu_cache_bytes
        return {"enforce_eager": True, "kv_cache_memory_bytes": cache, "enable_chunked_prefill": False}
    return {
        "enforce_eager": settings.enforce_eager,
        "gpu_memory_utilization": shape.memory_share,
        "enable_sleep_mode": shape.sleeps,
        "weight_transfer_config": {"backend": "nccl"} if shape.apart else None,
    }
