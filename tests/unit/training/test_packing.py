"""Rows end to end: values and gradients are those of padded rows, and padding is run no more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.models.auto.configuration_auto import AutoConfig

from assay.contracts.errors import SpecError
from assay.contracts.scale import Scale
from assay.contracts.training import EngineSpec
from assay.training import engines, logprobs
from assay.training.batching import TokenBatch, blank, collate
from assay.training.logprobs import Scorer, token_logprobs
from assay.training.packing import can_pack, packed_positions
from assay.training.rollout import Rollout

SMALL = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
ROTARY = SMALL | {"intermediate_size": 64, "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 64}
KINDS = {
    "llama": ROTARY,
    "qwen3": ROTARY,
    "mistral": ROTARY | {"sliding_window": 4},
    "gemma2": ROTARY | {"sliding_window": 4},
    "gpt2": {"vocab_size": 300, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64},
}


def model_of(kind: str, **settings: Any) -> PreTrainedModel:
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **settings)
    return AutoModelForCausalLM.from_config(config).double().eval()


@pytest.fixture
def batch(rollouts: list[Rollout]) -> TokenBatch:
    """Twelve completions of one to eight tokens, to three prompts of three lengths."""
    return collate(rollouts, list(range(12)), torch.device("cpu"))


def gradients(model: PreTrainedModel, logprobs_BT: torch.Tensor) -> list[torch.Tensor]:
    weights_BT = torch.linspace(-1, 2, logprobs_BT.numel(), dtype=torch.float64).view_as(logprobs_BT)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return list(torch.autograd.grad((logprobs_BT * weights_BT).sum(), parameters))


@pytest.mark.parametrize("whole_logits", [0, 1 << 25], ids=["in pieces", "at once"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_those_of_padded_rows(
    kind: str, batch: TokenBatch, whole_logits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logprobs, "WHOLE_LOGITS", whole_logits)
    monkeypatch.setattr(logprobs, "CHUNK_TOKENS", 7)
    model = model_of(kind, **KINDS[kind])
    assert can_pack(model)
    found_BT, expected_BT = token_logprobs(model, batch, 0.7, packing=True), Scorer(model)(batch, 0.7)
    torch.testing.assert_close(found_BT, expected_BT, rtol=0, atol=1e-6)
    for found, expected in zip(gradients(model, found_BT), gradients(model, expected_BT), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_hardly_any_padding_is_run(make_model: Any, batch: TokenBatch) -> None:
    """In rows no wider than the longest sequence, or attention would cost more than padding did."""
    model, shapes = make_model(), []
    model.model.embed_tokens.register_forward_hook(lambda _, inputs, __: shapes.append(tuple(inputs[0].shape)))
    token_logprobs(model, batch, 1.0, packing=True)
    ((rows, width),) = shapes
    assert width == int(batch.attention_BS.sum(-1).max())
    assert rows * width == packed_positions(batch) < batch.attention_BS.numel()


def test_a_row_does_not_see_the_others(make_model: Any, make_rollout: Any) -> None:
    model, device = make_model(), torch.device("cpu")
    mine, others = make_rollout("a", [4, 5], [6, 7, 8]), [make_rollout("b", [9], [10]), make_rollout("c", [11], [12])]
    alone, *beside = (
        token_logprobs(model, collate([mine, *rest], list(range(1 + len(rest))), device), 1.0, packing=True)[0]
        for rest in ([], others[:1], others[1:])
    )
    for found in beside:
        torch.testing.assert_close(found, alone, rtol=0, atol=1e-5)


def test_a_blank_micro_batch_is_nothing(make_model: Any) -> None:
    model = make_model()
    scores_BT = token_logprobs(model, blank(torch.device("cpu")), 1.0, packing=True)
    assert scores_BT.tolist() == [[0.0]]
    scores_BT.sum().backward()


def test_a_state_that_runs_on_into_the_next_row_is_refused() -> None:
    model = model_of("mamba", vocab_size=300, hidden_size=32, num_hidden_layers=2, state_size=4)
    assert not can_pack(model)
    with pytest.raises(SpecError, match="packing"):
        engines.prepare(model, EngineSpec(), Scale(packing=True))
