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
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import ModelError
from assay.contracts.scale import Rank
from assay.contracts.stage import Runtime
from assay.storage import fetch_uri

_SAFE: dict[str, Any] = {"trust_remote_code": False}


def pick_device(runtime: Runtime) -> torch.device:
    """The device a process of a stage runs on; also sets the number of CPU threads."""
    if runtime.threads:
        torch.set_num_threads(runtime.threads)
    wanted = runtime.device
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted, Rank.from_environment().local) if wanted == "cuda" else torch.device(wanted)


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


def model_location(model: ModelSpec) -> str:
    """A directory on this machine, or a hub id."""
    return str(fetch_uri(model.path))
