"""Reading Hugging Face models: directories or hub ids, safetensors only, no remote code."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import ModelError, SpecError
from assay.contracts.scale import Rank
from assay.contracts.stage import Runtime
from assay.storage import fetch_uri

_SAFE: dict[str, Any] = {"trust_remote_code": False}
_STRETCHED_ALREADY = ("longrope", "su", "llama3")
"""Rotary scalings of models whose `max_position_embeddings` is the length after it."""


def pick_device(runtime: Runtime) -> torch.device:
    """The device a process of a stage runs on; also sets the number of CPU threads, and the GPU that kernels start on.

    Raises SpecError where there are more processes than GPUs.
    """
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    wanted = runtime.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return _own_gpu(Rank.from_environment().local) if wanted == "cuda" else torch.device(wanted)


def _own_gpu(local: int) -> torch.device:
    there = torch.cuda.device_count()
    if local >= there:
        problem = f"process {local + 1} of this machine finds {there} GPUs"
        raise SpecError("runtime.device", problem, "Start one process for each GPU, or set it to cpu")
    device = torch.device("cuda", local)
    torch.cuda.set_device(device)  # Triton's kernels start on the current one, wherever their tensors are
    return device


def load_tokenizer(model: ModelSpec) -> PreTrainedTokenizerBase:
    """The model's tokenizer. Raises ModelError when there is none, or when it has no end-of-sequence token."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(model_location(model), revision=model.revision, **_SAFE)
    except (OSError, ValueError) as error:
        raise ModelError(model.path, f"has no tokenizer ({error})", "Name a model that brings one") from error
    if not tokenizer.encode("0", add_special_tokens=False):  # transformers makes an empty one out of config.json alone
        raise ModelError(
            model.path,
            "the tokenizer has no vocabulary",
            "Put tokenizer.json and tokenizer_config.json beside the weights",
        )
    if tokenizer.eos_token_id is None:
        raise ModelError(
            model.path, "the tokenizer has no eos_token, so no completion could end", "Set one in tokenizer_config.json"
        )
    return tokenizer


def load_model(model: ModelSpec, device: torch.device) -> PreTrainedModel:
    """The model in evaluation mode, in fp32 on every device: half precision would round most updates of a small
    learning rate to nothing. Raises ModelError for what is not a causal LM with all its weights.
    """
    try:
        loaded, told = AutoModelForCausalLM.from_pretrained(
            model_location(model),
            revision=model.revision,
            dtype=torch.float32,
            use_safetensors=True,
            attn_implementation="sdpa",
            output_loading_info=True,
            **_SAFE,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            model.path,
            f"cannot be loaded as a causal language model ({error})",
            "Name a model with safetensors weights",
        ) from error
    _require_all_weights(model, sorted(told["missing_keys"]))
    return loaded.to(device).eval()


def _require_all_weights(model: ModelSpec, missing: list[str]) -> None:
    """transformers only warns of weights it did not find, and makes them up."""
    if missing:
        problem = f"{len(missing)} weights of the model are not in its files, the first {missing[0]}"
        raise ModelError(model.path, problem, "Name a complete checkpoint of a causal language model")


def load_generation_config(model: ModelSpec) -> GenerationConfig:
    """The model's generation settings; without a file of them, those that its config implies."""
    try:
        return GenerationConfig.from_pretrained(model_location(model), revision=model.revision)
    except OSError:
        config = AutoConfig.from_pretrained(model_location(model), revision=model.revision, **_SAFE)
        return GenerationConfig.from_model_config(config)


def end_token_ids(config: GenerationConfig, tokenizer: PreTrainedTokenizerBase) -> tuple[int, ...]:
    """Every token that ends a completion: the tokenizer's, and those of the generation config."""
    configured = getattr(config, "eos_token_id", None)
    listed = configured if isinstance(configured, list) else [configured]
    return tuple(sorted({int(token) for token in [tokenizer.eos_token_id, *listed] if token is not None}))


def position_limit(config: PreTrainedConfig) -> int | None:
    """Tokens that a model has positions for, prompt and completion together, as vLLM counts them; None: any number."""
    text = config.get_text_config()
    limit: int | None = getattr(text, "max_position_embeddings", None)
    rope = getattr(text, "rope_parameters", None) or {}
    kind = rope.get("rope_type")
    if limit is None or kind in _STRETCHED_ALREADY:
        return limit
    start = rope.get("original_max_position_embeddings", limit) if kind == "yarn" else limit
    return int(start * rope.get("factor", 1.0))


def model_location(model: ModelSpec) -> str:
    """A directory on this machine, or a hub id."""
    return str(fetch_uri(model.path))
