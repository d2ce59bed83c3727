"""A tiny Qwen3 for tests that run outside pytest's own process."""

from __future__ import annotations

from typing import Any


def tiny_model(seed: int = 0, **changes: Any) -> Any:
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    shape: dict[str, Any] = {
        "vocab_size": 258,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": 256,
        "tie_word_embeddings": True,
        "initializer_range": 0.15,
    }
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(Qwen3Config(**shape | changes)).eval()
