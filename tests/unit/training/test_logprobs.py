"""Log-probs in chunks against the plain way: value, gradient, and that logits never exist in full."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from assay.training import logprobs
from assay.training.batching import TokenBatch, collate
from assay.training.logprobs import has_plain_head, token_logprobs
from assay.training.rollout import Rollout


@pytest.fixture
def batch(rollouts: list[Rollout]) -> TokenBatch:
    return collate(rollouts, list(range(len(rollouts))), torch.device("cpu"))


def scored(model: Any, batch: TokenBatch, monkeypatch: pytest.MonkeyPatch, chunk: int | None) -> Any:
    """Log-probs, and the gradient of a sum that weighs each differently."""
    if chunk is not None:
        monkeypatch.setattr(logprobs, "WHOLE_LOGITS", 0)
        monkeypatch.setattr(logprobs, "CHUNK_TOKENS", chunk)
    model.zero_grad()
    found_BT = token_logprobs(model, batch, 0.7)
    (found_BT * torch.linspace(-1, 1, found_BT.numel()).view_as(found_BT)).sum().backward()
    return found_BT.detach(), [parameter.grad.clone() for parameter in model.parameters()]


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize("chunk", [1, 7, 10_000])
def test_chunks_have_the_value_and_the_gradient_of_the_whole(
    make_model: Any, batch: TokenBatch, monkeypatch: pytest.MonkeyPatch, tied: bool, chunk: int
) -> None:
    model = make_model(tie_word_embeddings=tied)
    whole_BT, whole = scored(model, batch, monkeypatch, None)
    found_BT, found = scored(model, batch, monkeypatch, chunk)
    torch.testing.assert_close(found_BT, whole_BT, rtol=0, atol=1e-6)
    norm = torch.cat([gradient.flatten() for gradient in whole]).norm()
    apart = torch.cat([(mine - theirs).flatten() for mine, theirs in zip(found, whole, strict=True)]).norm()
    assert float(apart / norm) < 1e-6


def test_chunks_never_hold_the_logits_of_all_tokens(
    make_model: Any, batch: TokenBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The output layer sees a few tokens at a time, in the forward pass and in the backward pass."""
    model = make_model()
    seen: list[int] = []
    chosen = logprobs._chosen

    def spied(logits_CV: torch.Tensor, *others: Any) -> torch.Tensor:
        seen.append(len(logits_CV))
        return chosen(logits_CV, *others)

    monkeypatch.setattr(logprobs, "_chosen", spied)
    scored(model, batch, monkeypatch, 16)
    assert max(seen) == 16
    assert sum(seen) == 2 * batch.target_BT.numel()


def test_small_logits_are_made_at_once(make_model: Any, batch: TokenBatch, monkeypatch: pytest.MonkeyPatch) -> None:
    """So what is small stays bit for bit what it was."""
    monkeypatch.setattr(logprobs, "checkpoint", None)
    token_logprobs(make_model(), batch, 1.0)


@pytest.mark.parametrize(("setting", "value"), [("final_logit_softcapping", 30.0), ("logits_scaling", 8.0)])
def test_models_that_shape_their_logits_are_scored_the_plain_way(make_model: Any, setting: str, value: float) -> None:
    model = make_model()
    assert has_plain_head(model)
    setattr(model.config, setting, value)
    assert not has_plain_head(model)


def test_a_model_of_the_kind_that_caps_its_logits_is_scored_right(
    batch: TokenBatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = Gemma2Config(vocab_size=258, num_key_value_heads=1, head_dim=16, final_logit_softcapping=0.5, **shape)
    model = Gemma2ForCausalLM(config).eval()
    whole_BT, _ = scored(model, batch, monkeypatch, None)
    found_BT, _ = scored(model, batch, monkeypatch, 4)
    assert torch.equal(found_BT, whole_BT)
    row = batch.input_BS[-1][batch.attention_BS[-1].bool()]
    capped_SV = torch.log_softmax(model(row[None]).logits[0] / 0.7, -1)
    assert model(row[None]).logits.abs().max() < 0.5
    count = int(batch.mask_BT[-1].sum())
    plain_T = capped_SV[-count - 1 : -1].gather(-1, row[-count:, None])[:, 0]
    torch.testing.assert_close(found_BT[-1, :count], plain_T.detach(), rtol=0, atol=1e-5)
