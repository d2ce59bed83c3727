"""Handing weights over: what waits for what, and how long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from assay.contracts.errors import StageError
from assay.sampling import transfer
from assay.sampling.transfer import Control, Held, InProcess, OverNCCL, read_files, within


class Engine:
    """vLLM's calls, noted down; those to workers in other processes end in a time-out."""

    def __init__(self, told: list[Any], hangs: bool = False) -> None:
        self.told = told
        self.hangs = hangs

    def collective_rpc(self, method: str, timeout: float | None = None, kwargs: dict[str, Any] | None = None) -> None:
        arguments = dict(kwargs or {})
        arguments |= {name: list(value) for name, value in arguments.items() if isinstance(value, Iterator)}
        self.told.append((method, timeout, arguments))
        if self.hangs:
            raise TimeoutError(f"RPC call to {method} timed out.")

    def apply_model(self, change: Callable[[Any], None]) -> None:
        self.told.append(change.__name__)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens, in its order, on a machine whose accelerator is in use."""
    order: list[Any] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("synchronize"))
    return order


def weights(told: list[Any]) -> Iterator[tuple[str, torch.Tensor]]:
    """Merged or gathered when they are asked for, as adapters' and ZeRO 3's are."""
    told.append("made")
    yield "weight", torch.zeros(2, requires_grad=True)


def test_weights_are_whole_before_vllm_reads_them_and_read_before_they_change(told: list[Any]) -> None:
    InProcess(Engine(told)).send(iter([("weight", torch.zeros(2))]))
    assert [step if isinstance(step, str) else step[0] for step in told] == [
        "synchronize",
        "reload_weights",
        "repack_tied_head",
        "synchronize",
    ]


def test_weights_are_whole_before_they_are_packed_on_other_streams(told: list[Any]) -> None:
    way, sent = over_nccl(), []

    def send_weights() -> None:
        told.append("sent")
        sent.extend(way.source)

    way.engine.send_weights = send_weights
    way.send(weights(told))
    assert told == ["made", "synchronize", "sent"]
    assert [(name, tensor.requires_grad) for name, tensor in sent] == [("weight", False)]
    assert way.source.weights == {}, "held on to, they would be another copy of the model"


def over_nccl() -> OverNCCL:
    way = OverNCCL.__new__(OverNCCL)
    way.source, way.engine = Held(), type("Sender", (), {})()
    return way


def test_a_broadcast_that_nobody_takes_part_in_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """F07: NCCL itself would."""
    gate, way = threading.Event(), over_nccl()
    monkeypatch.setattr(transfer, "PATIENCE_S", 0.1)
    way.engine.send_weights = lambda: gate.wait(30)
    with pytest.raises(StageError, match=r"waited in vain for vLLM's workers to take new weights over NCCL\. Look at"):
        way.send([])
    gate.set()


def test_what_the_work_dies_of_is_raised_where_it_is_waited_for() -> None:
    assert within(5, "a sum", lambda: 1 + 1) == 2
    with pytest.raises(ZeroDivisionError):
        within(5, "a quotient", lambda: 1 // 0)


@pytest.mark.parametrize("method", ["start_weight_update", "finish_weight_update"])
def test_workers_are_not_waited_for_for_ever(method: str, told: list[Any]) -> None:
    getattr(Control(Engine(told)), method)()
    assert told == [(method, transfer.PATIENCE_S, {})]
    spoken = method.replace("_", " ")
    with pytest.raises(StageError, match=rf"in vain for vLLM's workers to {spoken} \(RPC call to {method} timed out"):
        getattr(Control(Engine(told, hangs=True)), method)()


def test_files_are_read_by_the_workers(told: list[Any]) -> None:
    read_files(Engine(told), "/models/one")
    assert told == [("reload_weights", transfer.PATIENCE_S, {"weights_path": "/models/one"}), "repack_tied_head"]
