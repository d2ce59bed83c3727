"""A tiny Qwen3, for tests in pytest's process and in others."""

from __future__ import annotations

from typing import Any

END, PAD = 256, 257


def tiny_model(seed: int = 0, spread: float = 0.15, **changes: Any) -> Any:
    """Random, of some 50 thousand parameters; `spread` is the standard deviation of its weights."""
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
        "initializer_range": spread,
        "eos_token_id": END,
        "pad_token_id": PAD,
        "bos_token_id": None,
    }
    torch.manual_seed(seed)
    return Qwen3ForCausalLM(Qwen3Config(**shape | changes)).eval()
