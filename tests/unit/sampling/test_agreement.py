"""The comparison after a weight update: what is asked, what it lets pass, what it stops, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from assay.contracts.errors import InvariantError
from assay.contracts.precision import BOUNDS
from assay.contracts.records import PromptRow
from assay.contracts.sampling import Completion, SampleRequest
from assay.contracts.task import TaskSpec
from assay.sampling.agreement import Comparison, probes, require_agreement, score_with
from assay.sampling.torch_engine import TorchSampler

PROBES = [SampleRequest(tuple(range(i, i + 6)), i, 8, 1.0) for i in range(3)]


class Shifted:
    """Writes two tokens to each request, whose log-probs are off by so much."""

    def __init__(self, by: float) -> None:
        self.by = by

    def generate(self, requests: Sequence[SampleRequest]) -> list[Completion]:
        return [Completion("", (4, 5), (-1.0 + self.by, -2.0 - self.by), "length") for _ in requests]


def score(prompt: Sequence[int], completion: Sequence[int]) -> list[float]:
    assert tuple(prompt) in {request.prompt_tokens for request in PROBES}
    assert tuple(completion) == (4, 5)
    return [-1.0, -2.0]


@pytest.mark.parametrize("precision", list(BOUNDS))
def test_what_the_precision_explains_passes_and_more_does_not(precision: str) -> None:
    gap = BOUNDS[precision].gap
    assert require_agreement(Shifted(0.9 * gap), score, Comparison(PROBES, gap)) == pytest.approx(0.9 * gap)
    with pytest.raises(InvariantError, match=rf"differ by .* nats a token .*rounding explains {gap:g} \(F25\)"):
        require_agreement(Shifted(1.1 * gap), score, Comparison(PROBES, gap))


def test_a_log_prob_that_is_no_number_does_not_pass() -> None:
    with pytest.raises(InvariantError, match="nan nats"):
        require_agreement(Shifted(float("nan")), score, Comparison(PROBES, 0.05))


def test_every_probe_is_compared() -> None:
    """A layer may be stale for some tokens alone, of an embedding for instance."""

    def one_differs(prompt: Sequence[int], completion: Sequence[int]) -> list[float]:
        return [value - (prompt[0] == 2) for value in score(prompt, completion)]

    with pytest.raises(InvariantError, match=r"differ by 0\.3333 nats"):
        require_agreement(Shifted(0.0), one_differs, Comparison(PROBES, 0.05))


def test_probes_are_short_completions_of_prompts_from_all_over() -> None:
    tasks = {name: task(name, budget) for name, budget in (("long", 500), ("short", 3))}
    rows = [row(f"{'short' if i > 19 else 'long'}/{i}", i) for i in range(24)]
    asked = probes(rows, tasks)
    assert [request.prompt_tokens for request in asked] == [(0, 1), (6, 1), (12, 1), (18, 1)]
    assert {(request.temperature, request.max_tokens) for request in asked} == {(1.0, 32)}
    assert len({request.seed for request in asked}) == 4
    (only,) = probes(rows[-1:], tasks)
    assert (only.max_tokens, only.stop) == (3, ("\n",))


def task(name: str, budget: int) -> TaskSpec:
    source = {"kind": "arithmetic", "levels": {"all": [2, 1]}}
    settings = {"name": name, "source": source, "prompt": "{question}", "max_completion_tokens": budget}
    return TaskSpec.model_validate(settings | {"stop": ["\n"]})


def row(name: str, token: int) -> PromptRow:
    return PromptRow(name, name.partition("/")[0], "train", "?", "", "all", "?", [token, 1])


def test_a_model_agrees_with_itself_and_not_with_another(make_model: Any, byte_tokenizer: Any) -> None:
    model = make_model(spread=0.25)
    sampler, comparison = TorchSampler(model, byte_tokenizer, 4), Comparison(PROBES, BOUNDS["fp32"].gap)
    assert require_agreement(sampler, score_with(model), comparison) < 1e-5
    with pytest.raises(InvariantError, match="F25"):
        require_agreement(sampler, score_with(make_model(seed=1, spread=0.25)), comparison)


def test_the_comparison_leaves_no_gradient(make_model: Any) -> None:
    model = make_model(spread=0.25)
    assert all(value < 0 for value in score_with(model)((1, 2, 3), (4, 5)))
    assert all(parameter.grad is None for parameter in model.parameters())
