"""The comparison after a weight update: what it lets pass, what it stops, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from assay.contracts.errors import InvariantError
from assay.contracts.sampling import Completion, SampleRequest
from assay.sampling.agreement import BOUNDS, PROBE, require_agreement, score_with
from assay.sampling.torch_engine import TorchSampler


class Shifted:
    """Writes two tokens whose log-probs are off by so much."""

    def __init__(self, by: float) -> None:
        self.by = by

    def generate(self, requests: Sequence[SampleRequest]) -> list[Completion]:
        return [Completion("", (4, 5), (-1.0 + self.by, -2.0 - self.by), "length") for _ in requests]


def score(prompt: Sequence[int], completion: Sequence[int]) -> list[float]:
    assert (tuple(prompt), tuple(completion)) == (PROBE.prompt_tokens, (4, 5))
    return [-1.0, -2.0]


@pytest.mark.parametrize("dtype", list(BOUNDS))
def test_what_the_precision_explains_passes_and_more_does_not(dtype: torch.dtype) -> None:
    assert require_agreement(Shifted(0.9 * BOUNDS[dtype]), score, dtype) == pytest.approx(0.9 * BOUNDS[dtype])
    with pytest.raises(InvariantError, match=rf"differ by .* nats a token .*{dtype} explains {BOUNDS[dtype]} \(F25\)"):
        require_agreement(Shifted(1.1 * BOUNDS[dtype]), score, dtype)


def test_a_log_prob_that_is_no_number_does_not_pass() -> None:
    with pytest.raises(InvariantError, match="nan nats"):
        require_agreement(Shifted(float("nan")), score, torch.bfloat16)


def test_a_model_agrees_with_itself_and_not_with_another(make_model: Any, byte_tokenizer: Any) -> None:
    model = make_model(spread=0.25)
    sampler = TorchSampler(model, byte_tokenizer, 4)
    assert require_agreement(sampler, score_with(model), torch.float32) < 1e-5
    with pytest.raises(InvariantError, match="F25"):
        require_agreement(sampler, score_with(make_model(seed=1, spread=0.25)), torch.float32)


def test_the_comparison_leaves_no_gradient(make_model: Any) -> None:
    model = make_model(spread=0.25)
    assert all(value < 0 for value in score_with(model)((1, 2, 3), (4, 5)))
    assert all(parameter.grad is None for parameter in model.parameters())
