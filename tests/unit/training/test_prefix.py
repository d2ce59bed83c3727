"""Completions on a shared prompt's keys and values: values and gradients are those of whole sequences."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assay.training import logprobs
from assay.training.batching import TokenBatch, collate
from assay.training.logprobs import Scorer, token_logprobs
from assay.training.prefix import can_share_prompts, over_sequences, over_shared_prompts
from assay.training.rollout import Rollout


@pytest.fixture
def batch(rollouts: list[Rollout]) -> TokenBatch:
    """Twelve completions of one to eight tokens, to three prompts of three lengths."""
    return collate(rollouts, list(range(12)), torch.device("cpu"))


def gradients(model: Any, logprobs_BT: torch.Tensor, batch: TokenBatch) -> list[torch.Tensor]:
    weights_BT = torch.linspace(-1, 2, batch.mask_BT.numel(), dtype=torch.float64).view_as(batch.mask_BT)
    (logprobs_BT * weights_BT).sum().backward()
    return [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("whole_logits", [0, 1 << 25], ids=["in chunks", "at once"])
def test_values_and_gradients_are_those_of_whole_sequences(
    make_model: Any, batch: TokenBatch, whole_logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logprobs, "WHOLE_LOGITS", whole_logits)
    monkeypatch.setattr(logprobs, "CHUNK_TOKENS", 7)
    shared, whole = make_model(spread=0.3).double(), make_model(spread=0.3).double()
    found_BT, expected_BT = token_logprobs(shared, batch, 0.7), Scorer(whole)(batch, 0.7)
    torch.testing.assert_close(found_BT, expected_BT, rtol=0, atol=1e-6)
    for found, expected in zip(gradients(shared, found_BT, batch), gradients(whole, expected_BT, batch), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_a_shared_prompt_is_run_once(make_model: Any, batch: TokenBatch) -> None:
    model, shapes = make_model(), []
    model.model.embed_tokens.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
    token_logprobs(model, batch, 1.0)
    assert shapes == [(3, 6), (12, batch.target_BT.shape[1])]


def test_distinct_prompts_are_run_with_their_completions(make_model: Any, rollouts: list[Rollout]) -> None:
    model = make_model()
    batch = collate(rollouts, [0, 4, 8], torch.device("cpu"))

    def run(inputs: dict[str, Any], columns: int) -> torch.Tensor:
        return model(**inputs, logits_to_keep=columns).logits

    found = over_shared_prompts(model, run, batch)
    assert torch.equal(found, over_sequences(run, batch))


@pytest.mark.parametrize("prompt", [[4], [4, 5]])
@pytest.mark.parametrize("completions", [[[7], [9]], [[7], [9, 8]]])
def test_the_shortest_prompts_and_completions(
    make_model: Any, make_rollout: Any, prompt: list[int], completions: list[list[int]]
) -> None:
    model = make_model()
    batch = collate([make_rollout("a", prompt, tokens) for tokens in completions], [0, 1], torch.device("cpu"))
    torch.testing.assert_close(token_logprobs(model, batch, 1.0), Scorer(model)(batch, 1.0), rtol=0, atol=1e-5)


def test_models_that_drop_their_cache_run_whole_sequences(make_model: Any) -> None:
    model = make_model()
    assert can_share_prompts(model)
    model.gradient_checkpointing_enable({"use_reentrant": False})
    assert not can_share_prompts(model)
