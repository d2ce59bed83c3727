"""The vLLM engine: the requests, seeds, tokens and log-probs of the torch engine, written many times faster on a GPU.

The engine runs in this process, so new weights reach it as tensors and never touch a disk. What makes it agree with the
trainer:

    processed_logprobs    log-probs of the distribution sampled from, temperature applied (F09)
    own generator         one per request, seeded by it: a sample does not depend on its neighbours' seeds (F01)
    token ids             prompts go in and completions come out as ids; the text is decoded here, by the one rule (F10)
    require_agreement     after each update, log-probs beside the trainer's: a stale layer stops the run (F25)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import SpecError, StageError
from assay.contracts.sampling import Completion, Progress, SampleRequest, Score, VllmSettings
from assay.sampling.agreement import require_agreement
from assay.sampling.models import end_token_ids, load_generation_config, load_tokenizer, model_location
from assay.sampling.stops import completion_text
from assay.sampling.transfer import InProcess, OverNCCL, Transfer, visible_devices

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


class VllmSampler:
    """Implements `assay.contracts.sampling.Sampler` with a copy of the model's weights."""

    def __init__(self, model: ModelSpec, settings: VllmSettings, shape: EngineShape) -> None:
        self.llm = start_engine(model, settings, shape)
        self.tokenizer = load_tokenizer(model)
        self.end_tokens = end_token_ids(load_generation_config(model), self.tokenizer)
        self.dtype = shape.dtype
        self.sleeps = shape.sleeps
        self.asleep = False
        self.transfer: Transfer = OverNCCL(self.llm, shape.tensor_parallel) if shape.apart else InProcess(self.llm)

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        """Completions in the order of the requests. Raises SpecError for a request longer than max_model_len."""
        self._require_room(requests)
        self._wake()
        completions = self._run(requests, progress)
        return [completions[place] for place in range(len(requests))]

    def rest(self) -> None:
        """Give weights and KV cache back to the trainer. vLLM keeps the weights in host memory meanwhile."""
        if self.sleeps and not self.asleep:
            self.llm.sleep(level=1)
            self.asleep = True

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]], score: Score | None) -> None:
        """Write with these weights from now on, none of them stale."""
        self._wake()
        self.transfer.send(weights)
        self.llm.reset_prefix_cache()  # its keys and values are the old weights'
        if score is not None:
            require_agreement(self, score, self.dtype)

    def _wake(self) -> None:
        if self.asleep:
            self.llm.wake_up()
            self.asleep = False

    def _require_room(self, requests: Sequence[SampleRequest]) -> None:
        room = self.llm.model_config.max_model_len
        longest = max((len(request.prompt_tokens) + request.max_tokens for request in requests), default=0)
        if longest > room:
            problem = f"{room} tokens, and a prompt with its completion may have {longest}"
            raise SpecError("runtime.vllm.max_model_len", problem, "Raise it, or lower the task's token budget")

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
            while engine.has_unfinished_requests():
                outputs = {int(output.request_id): output.outputs[0] for output in engine.step() if output.finished}
                ended = {place: self._completion(requests[place], output) for place, output in outputs.items()}
                completions |= ended
                if progress and ended:
                    progress(ended)
        finally:
            engine.abort_request([str(place) for place in range(len(requests)) if place not in completions])
        return completions

    def _completion(self, request: SampleRequest, output: Any) -> Completion:
        if output.finish_reason not in ("stop", "length"):
            raise StageError(f"vLLM ended a request with {output.finish_reason!r}. Its log says why")
        tokens = tuple(output.token_ids)
        shown = tokens[:-1] if tokens and tokens[-1] in self.end_tokens else tokens
        text = completion_text(self.tokenizer, shown, request.stop)
        return Completion(text, tokens, tuple(output.logprobs.logprobs), output.finish_reason)


def start_engine(model: ModelSpec, settings: VllmSettings, shape: EngineShape) -> Any:
    """An engine with the model's weights from its files. Raises SpecError for settings that vLLM refuses."""
    os.environ.update(_DEFAULTS | dict(os.environ) | _IN_PROCESS)
    from vllm import LLM

    try:
        with visible_devices(shape.tensor_parallel if shape.apart else 0):
            return LLM(**_options(model, settings, shape), **_on_device(settings, shape))
    except ValueError as error:
        raise SpecError("runtime.vllm", f"vLLM does not start ({error})", "Change what it names") from error


def _options(model: ModelSpec, settings: VllmSettings, shape: EngineShape) -> dict[str, Any]:
    return {
        "model": model_location(model),
        "revision": model.revision,
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
