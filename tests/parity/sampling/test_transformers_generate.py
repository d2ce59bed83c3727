"""Beside transformers' own `generate`: greedy decoding, token by token."""

from __future__ import annotations

from typing import Any

import torch

from assay.contracts.sampling import SampleRequest
from assay.sampling.torch_engine import TorchSampler

PROMPTS = [(5, 0, 9, 0), (0,), (7, 3, 0, 0, 0, 11), (200, 100), (9,) * 17, (1, 2, 3, 4, 5)]


def by_transformers(model: Any, prompt: tuple[int, ...], tokens: int) -> tuple[int, ...]:
    prompt_1T = torch.tensor([prompt])
    written = model.generate(
        prompt_1T, attention_mask=torch.ones_like(prompt_1T), max_new_tokens=tokens, do_sample=False, pad_token_id=257
    )
    return tuple(written[0, len(prompt) :].tolist())


def test_greedy_decoding_is_that_of_transformers(make_model: Any, byte_tokenizer: Any) -> None:
    """Prompts of mixed lengths in one left-padded batch, against one prompt at a time."""
    for seed in range(3):
        model = make_model(seed=seed, spread=0.3)
        requests = [SampleRequest(prompt, 0, 24, 0.0) for prompt in PROMPTS]
        ours = TorchSampler(model, byte_tokenizer, 512).generate(requests)
        assert [c.tokens for c in ours] == [by_transformers(model, prompt, 24) for prompt in PROMPTS]
        assert len({c.tokens for c in ours}) > 1
