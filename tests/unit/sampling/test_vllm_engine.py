"""The vLLM engine's own rules, on an engine that is none: its stream, its deadline, its cache, its settings."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import ModelError, StageError
from assay.contracts.sampling import SampleRequest, VllmSettings
from assay.sampling import vllm_engine
from assay.sampling.agreement import Comparison
from assay.sampling.vllm_engine import EngineShape, VllmSampler

CPU = torch.device("cpu")
SHAPE = EngineShape(CPU, torch.float32, 8, tensor_parallel=1, memory_share=0.5)
REQUEST = SampleRequest((1, 2), 0, 4, 1.0)


class Engine:
    """Takes requests, ends each at the second step, and notes the stream that it is called on."""

    def __init__(self, streams: list[Any]) -> None:
        self.streams = streams
        self.called: list[tuple[str, Any]] = []
        self.waiting: list[str] = []
        self.stalls = self.in_use = False
        self.model_config = SimpleNamespace(max_model_len=100)
        self.llm_engine = self

    def note(self, what: str) -> None:
        self.called.append((what, self.streams[-1] if self.streams else None))

    def add_request(self, name: str, *_: Any) -> None:
        self.waiting.append(name)

    def has_unfinished_requests(self) -> bool:
        return bool(self.waiting)

    def step(self) -> list[Any]:
        self.note("step")
        written = SimpleNamespace(finish_reason="length", token_ids=[5], logprobs=SimpleNamespace(logprobs=[-1.0]))
        ended = [] if self.stalls else self.waiting[:1]
        self.waiting = self.waiting[len(ended) :]
        return [SimpleNamespace(finished=True, request_id=name, outputs=[written]) for name in ended]

    def abort_request(self, names: list[str]) -> None:
        self.waiting = [name for name in self.waiting if name not in names]

    def reset_prefix_cache(self) -> bool:
        self.note("reset_prefix_cache")
        return not self.in_use

    def sleep(self, level: int) -> None:
        self.note(f"sleep {level}")

    def wake_up(self) -> None:
        self.note("wake_up")


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch) -> VllmSampler:
    streams: list[Any] = []

    @contextmanager
    def on(stream: Any) -> Iterator[None]:
        streams.append(stream)
        yield
        streams.pop()

    monkeypatch.setattr(torch.cuda, "stream", on)
    monkeypatch.setattr(VllmSampler, "_params", lambda *_: None)
    monkeypatch.setattr(vllm_engine, "completion_text", lambda *_: "text")
    made = VllmSampler.__new__(VllmSampler)
    made.stream, made.llm, made.end_tokens, made.tokenizer = "its own", Engine(streams), (0,), None  # type: ignore[assignment]
    made.sleeps, made.asleep, made.comparison = True, False, Comparison([REQUEST], 0.1)
    made.transfer = SimpleNamespace(send=lambda _: made.llm.note("send"))
    return made


def test_all_its_work_is_on_its_own_stream_and_the_trainers_is_not(sampler: VllmSampler) -> None:
    scored_on: list[Any] = []

    def score(*_: Any) -> list[float]:
        scored_on.extend(sampler.llm.streams)
        return [-1.0]

    sampler.rest()
    sampler.update_weights([], score)
    assert sampler.llm.called == [
        (what, "its own") for what in ("sleep 1", "wake_up", "send", "reset_prefix_cache", "step")
    ]
    assert scored_on == []


def test_requests_that_never_end_are_given_up_and_taken_back(
    sampler: VllmSampler, monkeypatch: pytest.MonkeyPatch
) -> None:
    """F07: one that the scheduler finds no room for, for instance."""
    monkeypatch.setattr(vllm_engine, "PATIENCE_S", 0.05)
    assert len(sampler.generate([REQUEST] * 3)) == 3
    sampler.llm.stalls = True
    with pytest.raises(StageError, match=r"in vain for vLLM to end a completion \(none ended for 0 s\)\. Look at"):
        sampler.generate([REQUEST] * 3)
    assert not sampler.llm.waiting


def test_keys_of_the_old_weights_that_stay_in_the_cache_stop_the_run(sampler: VllmSampler) -> None:
    sampler.llm.in_use = True
    with pytest.raises(StageError, match=r"keeps keys and values of the old weights.*F25"):
        sampler.update_weights([], None)


@pytest.mark.parametrize(("precision", "products"), [("highest", "ieee"), ("high", "tf32")])
def test_products_in_fp32_are_as_the_trainers(precision: str, products: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else starting vLLM would switch the trainer's TF32 off, and its attention would round where the trainer's does
    not."""
    monkeypatch.setattr(os, "environ", {"VLLM_FLOAT32_MATMUL_PRECISION": "medium", "VLLM_LOGGING_LEVEL": "INFO"})
    monkeypatch.setattr(torch, "get_float32_matmul_precision", lambda: precision)
    _, environment = started(monkeypatch, "/nowhere")
    assert (environment["VLLM_FLOAT32_MATMUL_PRECISION"], environment["TRITON_F32_DEFAULT"]) == (precision, products)
    assert environment["VLLM_LOGGING_LEVEL"] == "INFO"


def started(monkeypatch: pytest.MonkeyPatch, path: str) -> tuple[dict[str, Any], dict[str, str]]:
    """What vLLM is started with: its options, and the environment."""
    asked: list[tuple[dict[str, Any], dict[str, str]]] = []
    vllm = SimpleNamespace(LLM=lambda **options: asked.append((options, dict(os.environ))))
    monkeypatch.setitem(sys.modules, "vllm", vllm)
    vllm_engine.start_engine(ModelSpec(path=path, kind="base"), VllmSettings(), SHAPE)
    return asked[0]


def test_pickled_weights_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ))
    (tmp_path / "pytorch_model.bin").touch()
    with pytest.raises(ModelError, match=r"holds no \*\.safetensors"):
        started(monkeypatch, str(tmp_path))
    (tmp_path / "model.safetensors").touch()
    options, _ = started(monkeypatch, str(tmp_path))
    assert options["load_format"] == "safetensors"
