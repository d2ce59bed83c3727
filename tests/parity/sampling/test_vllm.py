"""vLLM beside the torch engine: the same tokens, log-probs, ends and texts, and weights that are never stale.

One engine in this process, on CPU in fp32, with the model of the quickstart.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import InvariantError, SpecError
from assay.contracts.sampling import Completion, SampleRequest, VllmSettings
from assay.contracts.seeds import derive
from assay.sampling.agreement import require_agreement, score_with
from assay.sampling.models import load_model, load_tokenizer
from assay.sampling.torch_engine import TorchSampler
from tests.parity.sampling.others import IN_FP32, PROBES, changed

pytest.importorskip("vllm", reason="vLLM is not installed: pip install -e '.[serve]'", exc_type=ImportError)

MODEL = ModelSpec(path=str(Path(__file__).parents[3] / "models" / "sums-500k"), kind="base")
CPU = torch.device("cpu")
TOLERANCE = 1e-4


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return load_tokenizer(MODEL)


@pytest.fixture(scope="module")
def model() -> Any:
    return load_model(MODEL, CPU)


@pytest.fixture(scope="module")
def own(model: Any, tokenizer: Any) -> TorchSampler:
    return TorchSampler(model, tokenizer, 512)


@pytest.fixture(scope="module")
def engine() -> Any:
    """One for all tests here: a second one in the same process would double what is held."""
    from assay.sampling.vllm_engine import EngineShape, VllmSampler

    settings = VllmSettings(cpu_cache_bytes=1 << 28)
    shape = EngineShape(CPU, torch.float32, 128, tensor_parallel=1, memory_share=0.9)
    return VllmSampler(MODEL, settings, shape, IN_FP32)


@pytest.fixture
def vllm(engine: Any, model: Any) -> Iterator[Any]:
    """The engine with the weights of `model`, whatever a test does to it."""
    yield engine
    engine.update_weights(model.named_parameters(), score_with(model))


@pytest.fixture(scope="module")
def prompts(tokenizer: Any) -> list[tuple[int, ...]]:
    sums = [f"{a} + {b}{tail} = " for a in range(3, 99, 7) for b in (4, 58) for tail in ("", " + 9")]
    return [tuple(tokenizer.encode(text, add_special_tokens=False)) for text in sums]


def requests(prompts: list[tuple[int, ...]], temperature: float, samples: int = 1) -> list[SampleRequest]:
    return [
        SampleRequest(prompt, derive(place, sample), 40, temperature)
        for place, prompt in enumerate(prompts)
        for sample in range(samples)
    ]


def rescored(model: Any, tokens: SampleRequest, completion: Completion) -> list[float]:
    """Log-probs of a completion in one forward pass of transformers, at the request's temperature."""
    ids_1T = torch.tensor([[*tokens.prompt_tokens, *completion.tokens]])
    with torch.no_grad():
        logits_TV = model(ids_1T).logits[0, len(tokens.prompt_tokens) - 1 : -1]
    chosen_T1 = ids_1T[0, len(tokens.prompt_tokens) :, None]
    return torch.log_softmax(logits_TV / (tokens.temperature or 1.0), -1).gather(1, chosen_T1)[:, 0].tolist()


def largest_gap(model: Any, asked: list[SampleRequest], written: list[Completion]) -> float:
    pairs = zip(asked, written, strict=True)
    return max(
        abs(a - b)
        for request, completion in pairs
        for a, b in zip(completion.logprobs, rescored(model, request, completion), strict=True)
    )


def test_greedy_completions_are_those_of_the_torch_engine(
    vllm: Any, own: TorchSampler, prompts: list[tuple[int, ...]]
) -> None:
    asked = requests(prompts, temperature=0.0)
    ours, theirs = own.generate(asked), vllm.generate(asked)
    assert [c.tokens for c in theirs] == [c.tokens for c in ours]
    assert [c.text for c in theirs] == [c.text for c in ours]
    assert [c.finish_reason for c in theirs] == [c.finish_reason for c in ours]
    assert len({c.tokens for c in ours}) > len(prompts) / 2
    gaps = [abs(a - b) for x, y in zip(ours, theirs, strict=True) for a, b in zip(x.logprobs, y.logprobs, strict=True)]
    assert max(gaps) < TOLERANCE


@pytest.mark.parametrize("temperature", [0.6, 1.0, 1.4])
def test_log_probs_are_of_the_distribution_sampled_from(
    vllm: Any, model: Any, prompts: list[tuple[int, ...]], temperature: float
) -> None:
    """vLLM's own default leaves the temperature out (F09)."""
    asked = requests(prompts, temperature, samples=2)
    written = vllm.generate(asked)
    assert largest_gap(model, asked, written) < TOLERANCE
    unscaled = [replace(request, temperature=1.0) for request in asked]
    assert temperature == 1.0 or largest_gap(model, unscaled, written) > 0.1


def test_a_seed_writes_one_completion_whoever_its_neighbours_are(vllm: Any, prompts: list[tuple[int, ...]]) -> None:
    asked = requests(prompts[::5], temperature=1.0, samples=3)
    together = vllm.generate(asked)
    apart = [completion for start in range(0, len(asked), 7) for completion in vllm.generate(asked[start : start + 7])]
    backwards = vllm.generate(asked[::-1])[::-1]
    assert [c.tokens for c in together] == [c.tokens for c in apart] == [c.tokens for c in backwards]


def test_other_seeds_write_other_completions(vllm: Any, prompts: list[tuple[int, ...]]) -> None:
    asked = [SampleRequest(prompts[0], derive(seed), 24, 1.4) for seed in range(64)]
    written = Counter(completion.tokens for completion in vllm.generate(asked))
    assert len(written) > 48
    big = [replace(request, seed=(1 << 63) - 1 - place) for place, request in enumerate(asked)]
    assert Counter(completion.tokens for completion in vllm.generate(big)) != written


@pytest.mark.parametrize("stop", [("=",), ("\n", " ="), ("12", "So"), ("not there",)])
def test_stop_strings_end_where_the_torch_engine_ends(
    vllm: Any, own: TorchSampler, prompts: list[tuple[int, ...]], stop: tuple[str, ...]
) -> None:
    """The text is cut before the stop string; the tokens keep it, with their log-probs."""
    asked = [replace(request, stop=stop) for request in requests(prompts, temperature=0.0)]
    ours, theirs = own.generate(asked), vllm.generate(asked)
    assert [(c.tokens, c.text, c.finish_reason) for c in theirs] == [(c.tokens, c.text, c.finish_reason) for c in ours]
    assert all(len(c.tokens) == len(c.logprobs) for c in theirs)
    assert not any(string in c.text for c in theirs for string in stop)


def test_ends_tokens_and_budgets_are_each_requests_own(vllm: Any, own: TorchSampler, tokenizer: Any) -> None:
    prompt = tuple(tokenizer.encode("12 + 5 = ", add_special_tokens=False))
    asked = [SampleRequest(prompt, 0, tokens, 0.0) for tokens in (1, 2, 5, 80)]
    written = vllm.generate(asked)
    assert [(c.tokens, c.finish_reason) for c in written] == [(c.tokens, c.finish_reason) for c in own.generate(asked)]
    assert [c.finish_reason for c in written] == ["length", "length", "length", "stop"]
    assert written[-1].tokens[-1] in vllm.end_tokens


def test_progress_counts_every_sequence_once(vllm: Any, prompts: list[tuple[int, ...]]) -> None:
    told: list[Mapping[int, Completion]] = []
    written = vllm.generate(requests(prompts, 1.0), told.append)
    assert sorted(place for some in told for place in some) == list(range(len(prompts)))
    assert all(some and all(written[place] is one for place, one in some.items()) for some in told)
    assert vllm.generate([]) == []


def test_later_chunks_of_a_prompt_find_it_in_the_cache(vllm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Adaptive sampling asks for a prompt again and again; its keys and values are computed once."""
    long = tuple(range(10, 210))
    first, again = ([SampleRequest(long, derive(chunk, i), 4, 1.0) for i in range(8)] for chunk in range(2))
    cached: list[int] = []
    step = vllm.llm.llm_engine.step

    def watched() -> Any:
        outputs = step()
        cached.extend(output.num_cached_tokens for output in outputs if output.finished)
        return outputs

    monkeypatch.setattr(vllm.llm.llm_engine, "step", watched)
    vllm.generate(first)
    vllm.generate(again)
    assert min(cached[8:]) == 128, "a whole block on CPU"


def test_more_prompt_tokens_than_one_step_takes(vllm: Any, own: TorchSampler) -> None:
    """vLLM would prefill the prompt at the border in two steps, which seeded requests do not survive on CPU."""
    asked = [SampleRequest(tuple((i + j) % 200 + 10 for j in range(190)), derive(i), 2, 1.0) for i in range(64)]
    written = vllm.generate(asked)
    assert [len(c.tokens) for c in written] == [len(c.logprobs) for c in written]
    greedy = [replace(request, temperature=0.0) for request in asked]
    assert [c.tokens for c in vllm.generate(greedy)] == [c.tokens for c in own.generate(greedy)]


def test_a_request_longer_than_the_context_is_refused(vllm: Any) -> None:
    with pytest.raises(SpecError, match=r"max_model_len: 256 tokens.*may have 300"):
        vllm.generate([SampleRequest((5,) * 200, 0, 100, 1.0)])


def test_new_weights_write_as_the_trainer_scores(vllm: Any, tokenizer: Any, prompts: list[tuple[int, ...]]) -> None:
    before = vllm.generate(requests(prompts, 0.0))
    for seed in range(3):
        other = changed(MODEL, seed)
        vllm.update_weights(other.named_parameters(), score_with(other))
        asked = requests(prompts, 1.0)
        assert largest_gap(other, asked, vllm.generate(asked)) < TOLERANCE
        greedy = vllm.generate(requests(prompts, 0.0))
        assert [c.tokens for c in greedy] == [
            c.tokens for c in TorchSampler(other, tokenizer, 512).generate(requests(prompts, 0.0))
        ]
        assert [c.tokens for c in greedy] != [c.tokens for c in before]


def test_a_stale_output_layer_is_caught(vllm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """vLLM's reload alone leaves the packed copy of a tied output layer as it was, and says nothing (F25)."""
    from assay.sampling import transfer

    other = changed(MODEL, 7)
    monkeypatch.setattr(transfer, "repack_tied_head", lambda _: None)
    with pytest.raises(InvariantError, match=r"differ by \d\.\d+ nats a token.*F25"):
        vllm.update_weights(other.named_parameters(), score_with(other))
    assert largest_gap(other, PROBES, vllm.generate(PROBES)) > 0.1
    monkeypatch.undo()
    vllm.update_weights(other.named_parameters(), score_with(other))


def test_weights_that_never_arrived_are_caught(vllm: Any, model: Any) -> None:
    assert require_agreement(vllm, score_with(model), IN_FP32) < 1e-5
    with pytest.raises(InvariantError, match="nats a token"):
        require_agreement(vllm, score_with(changed(MODEL, 1)), IN_FP32)


def test_no_prefix_of_the_old_weights_is_used(vllm: Any) -> None:
    """The cache is emptied with each update: keys and values of the old weights would spoil the new log-probs."""
    asked = [SampleRequest(tuple(range(10, 210)), derive(i), 8, 1.0) for i in range(4)]
    vllm.generate(asked)
    other = changed(MODEL, 3)
    vllm.update_weights(other.named_parameters(), score_with(other))
    assert largest_gap(other, asked, vllm.generate(asked)) < TOLERANCE


def test_the_weights_of_the_trainer_may_ask_for_gradients(vllm: Any) -> None:
    other = changed(MODEL, 4).train()
    sum(weight.sum() for weight in other.parameters()).backward()
    vllm.update_weights(other.named_parameters(), score_with(other.eval()))
    assert all(math.isfinite(value) for value in vllm.generate(PROBES)[0].logprobs)


def test_settings_that_vllm_refuses_are_named() -> None:
    from assay.sampling.vllm_engine import EngineShape, start_engine

    shape = EngineShape(CPU, torch.float32, 8, tensor_parallel=1, memory_share=0.9)
    with pytest.raises(SpecError, match=r"(?s)runtime\.vllm: vLLM does not start \(.*1000000"):
        start_engine(MODEL, VllmSettings(max_model_len=1_000_000), shape)


def test_what_an_interrupted_call_left_behind_is_not_written(
    vllm: Any, prompts: list[tuple[int, ...]], monkeypatch: pytest.MonkeyPatch
) -> None:
    step, calls = vllm.llm.llm_engine.step, iter(range(100))

    def dies() -> Any:
        if next(calls) == 3:
            raise KeyboardInterrupt
        return step()

    monkeypatch.setattr(vllm.llm.llm_engine, "step", dies)
    with pytest.raises(KeyboardInterrupt):
        vllm.generate(requests(prompts, 1.0))
    monkeypatch.undo()
    assert not vllm.llm.llm_engine.has_unfinished_requests()
    assert len(vllm.generate(requests(prompts[:3], 1.0))) == 3
