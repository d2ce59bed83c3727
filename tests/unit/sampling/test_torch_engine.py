"""The torch engine: what it draws, where it ends, and that a sample depends on its own seed alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from assay.contracts.errors import SpecError
from assay.contracts.sampling import Completion, SampleRequest
from assay.contracts.seeds import derive
from assay.sampling import torch_engine
from assay.sampling.torch_engine import TorchSampler
from assay.training.batching import collate
from assay.training.policy import token_logprobs

END = 256


@dataclass(frozen=True)
class Item:
    prompt_tokens: tuple[int, ...]
    completion_tokens: tuple[int, ...]


@pytest.fixture(scope="module")
def model(make_model: Any) -> Any:
    return make_model(spread=0.25)


@pytest.fixture(scope="module")
def sampler(model: Any, byte_tokenizer: Any) -> TorchSampler:
    return TorchSampler(model, byte_tokenizer, 512)


def request(
    seed: int, prompt: tuple[int, ...] = (5, 0, 9, 0), tokens: int = 12, temperature: float = 1.0, **changes: Any
):
    return SampleRequest(prompt, derive(seed), tokens, temperature, **changes)


def mixed_requests(count: int = 64) -> list[SampleRequest]:
    """Prompts of several lengths, with and without id 0, three temperatures, several budgets."""
    prompts = [(5, 0, 9, 0), (0,), (7, 3, 0, 0, 0, 11), (200, 100), (0, 0, 0)]
    return [request(i, prompts[i % 5], tokens=4 + i % 9, temperature=(1.0, 0.6, 1.5)[i % 3]) for i in range(count)]


def next_token_probabilities(model: Any, prompt: tuple[int, ...], temperature: float) -> np.ndarray:
    with torch.no_grad():
        logits_V = model(torch.tensor([prompt])).logits[0, -1].double()
    return torch.softmax(logits_V / temperature, -1).numpy()


@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_sampled_frequencies_are_those_of_the_softmax(model: Any, sampler: TorchSampler, temperature: float) -> None:
    """Chi-square over the first token of 4,096 seeds: the full distribution, no top-p, no top-k (F09)."""
    drawn = sampler.generate([request(seed, tokens=1, temperature=temperature) for seed in range(4096)])
    counts = Counter(completion.tokens[0] for completion in drawn)
    expected = next_token_probabilities(model, (5, 0, 9, 0), temperature) * 4096
    often = expected >= 5
    found = np.array([counts.get(token, 0) for token in range(len(expected))])
    observed_bins = [*found[often], found[~often].sum()]
    expected_bins = [*expected[often], expected[~often].sum()]
    assert often.sum() > 20
    assert stats.chisquare(observed_bins, expected_bins).pvalue > 0.01


@pytest.mark.parametrize("batch", [1, 7, 64])
def test_the_same_seed_writes_the_same_completion_whatever_the_batch(
    model: Any, byte_tokenizer: Any, sampler: TorchSampler, batch: int
) -> None:
    """One fixed seed for a whole batch once gave 3 distinct completions out of 83 (F01)."""
    together = sampler.generate(mixed_requests())
    apart = TorchSampler(model, byte_tokenizer, batch).generate(mixed_requests())
    assert [c.tokens for c in apart] == [c.tokens for c in together]
    for a, b in zip(apart, together, strict=True):
        assert a.logprobs == pytest.approx(b.logprobs, abs=1e-4)


def test_dropping_finished_rows_from_the_batch_changes_nothing(
    sampler: TorchSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    compactions: list[int] = []
    compact = torch_engine._Batch._compact
    monkeypatch.setattr(
        torch_engine._Batch,
        "_compact",
        lambda self, keep, *rest: compactions.append(int(keep.sum())) or compact(self, keep, *rest),
    )
    compacted = sampler.generate(mixed_requests())
    assert compactions
    monkeypatch.setattr(torch_engine._Batch, "_compact", lambda *given: given[2:])
    assert [c.tokens for c in sampler.generate(mixed_requests())] == [c.tokens for c in compacted]


def test_a_prompt_that_many_rows_share_is_run_once(model: Any, byte_tokenizer: Any) -> None:
    class Counting(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.config, self.generation_config, self.device = model.config, model.generation_config, model.device
            self.shapes: list[tuple[int, ...]] = []

        def forward(self, input_ids: torch.Tensor, **given: Any) -> Any:
            self.shapes.append(tuple(input_ids.shape))
            return model(input_ids=input_ids, **given)

    counting = Counting()
    requests = [request(seed, prompt, tokens=3) for prompt in ((5, 0, 9, 0), (7, 7)) for seed in range(6)]
    TorchSampler(counting, byte_tokenizer, 512).generate(requests)  # type: ignore[arg-type]
    assert counting.shapes[:2] == [(2, 4), (12, 1)]


def test_order_and_progress_are_the_requests_own(sampler: TorchSampler) -> None:
    requests = mixed_requests(40)
    ended: list[Mapping[int, Completion]] = []
    forwards = sampler.generate(requests, ended.append)
    backwards = sampler.generate(requests[::-1])
    assert [c.tokens for c in backwards[::-1]] == [c.tokens for c in forwards]
    assert sorted(place for some in ended for place in some) == list(range(40))
    assert all(forwards[place] is completion for some in ended for place, completion in some.items())
    assert len(ended) > 5


def test_distinct_seeds_write_distinct_completions_and_one_seed_writes_one(sampler: TorchSampler) -> None:
    """F01."""
    distinct = sampler.generate([request(seed) for seed in range(64)])
    assert len({c.tokens for c in distinct}) > 60
    assert len({c.tokens for c in sampler.generate([request(3)] * 8)}) == 1


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.5])
def test_recorded_log_probs_are_the_trainers(model: Any, sampler: TorchSampler, temperature: float) -> None:
    """Left-padded with a cache, token by token, against one forward pass: 1e-4 nats (F09)."""
    requests = [replace(r, temperature=temperature) for r in mixed_requests(32)]
    completions = sampler.generate(requests)
    items = [Item(r.prompt_tokens, c.tokens) for r, c in zip(requests, completions, strict=True)]
    batch = collate(items, list(range(32)), torch.device("cpu"))
    with torch.no_grad():
        scored = token_logprobs(model, batch, temperature).tolist()
    for completion, values in zip(completions, scored, strict=True):
        assert completion.logprobs == pytest.approx(values[: len(completion.tokens)], abs=1e-4)


def test_greedy_rows_and_sampled_rows_share_a_batch(sampler: TorchSampler) -> None:
    """Greedy log-probs are those at temperature 1; the seed of a greedy request is ignored."""
    greedy = [request(seed, temperature=0.0) for seed in range(3)]
    sampled = [request(seed) for seed in range(3)]
    mixed = sampler.generate([r for pair in zip(greedy, sampled, strict=True) for r in pair])
    assert len({c.tokens for c in mixed[::2]}) == 1
    assert [c.tokens for c in mixed[1::2]] == [c.tokens for c in sampler.generate(sampled)]
    assert mixed[0].logprobs == pytest.approx(sampler.generate(greedy[:1])[0].logprobs, abs=1e-5)


def test_the_token_budget_of_each_request_is_its_own(sampler: TorchSampler) -> None:
    budgets = [1, 3, 9, 2]
    found = sampler.generate([request(i, tokens=budget) for i, budget in enumerate(budgets)])
    for completion, budget in zip(found, budgets, strict=True):
        assert completion.finish_reason == ("stop" if completion.tokens[-1] == END else "length")
        assert len(completion.tokens) == budget or completion.finish_reason == "stop"
        assert len(completion.logprobs) == len(completion.tokens)


class Script(torch.nn.Module):
    """A model that writes the given tokens, whatever it is asked."""

    def __init__(self, model: Any, tokens: list[int]) -> None:
        super().__init__()
        self.config, self.generation_config, self.device = model.config, model.generation_config, model.device
        self.tokens = tokens
        self.calls = 0

    def forward(self, input_ids: torch.Tensor, **_: Any) -> Any:
        logits = torch.full((len(input_ids), 1, 258), -50.0)
        logits[:, :, self.tokens[self.calls]] = 50.0
        self.calls += 1
        return type("Output", (), {"logits": logits})


@pytest.fixture
def scripted(model: Any, byte_tokenizer: Any) -> Callable[..., Completion]:
    def write(text: str, *, end: bool = False, stop: tuple[str, ...] = (), budget: int = 100) -> Completion:
        tokens = byte_tokenizer.encode(text, add_special_tokens=False) + [END] * end
        wanted = SampleRequest((1,), 0, budget, 1.0, stop)
        return TorchSampler(Script(model, tokens), byte_tokenizer, 4).generate([wanted])[0]

    return write


def test_an_end_token_stops_and_is_counted_but_not_shown(scripted: Callable[..., Completion]) -> None:
    found = scripted("42", end=True)
    assert (found.text, found.finish_reason, found.tokens[-1], len(found.tokens)) == ("42", "stop", END, 3)


def test_a_stop_string_over_several_tokens_stops_and_is_cut_off(scripted: Callable[..., Completion]) -> None:
    """`Question:` instead of `Q:` let 81 % of the completions run on (F12)."""
    found = scripted(" 42.\nQuestion: next", stop=("\nQuestion:", "\n\n"))
    assert (found.text, found.finish_reason) == (" 42.", "stop")
    assert len(found.tokens) == len(" 42.\nQuestion:")


def test_a_stop_string_in_the_last_token_of_the_budget_is_a_stop(scripted: Callable[..., Completion]) -> None:
    assert scripted("ab;", stop=(";",), budget=3).finish_reason == "stop"
    assert scripted("abc;", stop=(";",), budget=3).finish_reason == "length"


def test_an_empty_answer_is_a_completion_of_one_token(scripted: Callable[..., Completion]) -> None:
    found = scripted("", end=True)
    assert (found.text, found.tokens, found.finish_reason) == ("", (END,), "stop")


def test_real_tokens_of_id_zero_are_part_of_the_text(scripted: Callable[..., Completion]) -> None:
    """Id 0 is `!` (F10)."""
    found = scripted("!!a!!", end=True)
    assert found.text == "!!a!!"
    assert found.tokens == (0, 0, 64, 0, 0, END)


def test_no_requests_give_no_completions(sampler: TorchSampler) -> None:
    assert sampler.generate([]) == []


def test_what_a_model_has_no_positions_for_is_refused_before_anything_is_written(
    model: Any, byte_tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As vLLM refuses it. Rotary embeddings have values beyond the last position that was trained, and no meaning."""
    sampler = TorchSampler(model, byte_tokenizer, 8)
    monkeypatch.setattr(model, "forward", None)
    with pytest.raises(SpecError, match=r"max_position_embeddings: 256 tokens.*may have 257"):
        sampler.generate([request(0), request(1, prompt=(5, 0), tokens=255)])
