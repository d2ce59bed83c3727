"""Work beside the making of what it works on: in batches, each item once, and its errors are heard."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pytest

from assay.contracts.errors import StageError
from assay.training.behind import Behind


def test_what_arrives_during_a_batch_makes_the_next() -> None:
    begun, go_on = threading.Event(), threading.Event()
    batches: list[dict[int, str]] = []

    def work(items: Mapping[int, str]) -> dict[int, str]:
        batches.append(dict(items))
        begun.set()
        assert go_on.wait(10)
        return {place: item.upper() for place, item in items.items()}

    with Behind(work) as behind:
        behind.add({2: "c"})
        assert begun.wait(10)
        behind.add({0: "a"})
        behind.add({1: "b"})
        go_on.set()
        assert behind.results() == {0: "A", 1: "B", 2: "C"}
    assert batches == [{2: "c"}, {0: "a", 1: "b"}]


def test_nothing_added_is_nothing_found() -> None:
    with Behind(dict) as behind:
        assert behind.results() == {}


def test_an_error_of_the_work_reaches_who_asks() -> None:
    def work(items: Mapping[int, str]) -> dict[int, str]:
        raise ValueError(f"no use for {items[0]}")

    with Behind(work) as behind:
        behind.add({0: "this"})
        with pytest.raises(ValueError, match="no use for this"):
            behind.results()


def test_when_the_making_fails_the_thread_ends() -> None:
    def make() -> None:
        with Behind(dict) as behind:
            behind.add({0: 0})
            raise KeyError

    before = threading.active_count()
    with pytest.raises(KeyError):
        make()
    assert threading.active_count() == before


def test_work_that_hangs_is_not_waited_for_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """F07."""
    monkeypatch.setattr("assay.training.background.ABANDON_S", 0.1)
    gate = threading.Event()

    def hang(_: Mapping[int, int]) -> dict[int, int]:
        gate.wait(30)
        return {}

    def ask() -> None:
        with Behind(hang, patience_s=0.2) as behind:
            behind.add({0: 0})
            behind.results()

    begun = time.monotonic()
    with pytest.raises(StageError, match="not there within 0 s"):
        ask()
    assert time.monotonic() - begun < 5
    gate.set()


def test_what_nobody_will_ask_for_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """F14: a run that is ended must be gone within its grace period."""
    monkeypatch.setattr("assay.training.background.ABANDON_S", 0.1)
    gate, begun = threading.Event(), time.monotonic()

    def leave() -> None:
        with Behind(lambda _: {0: gate.wait(30)}) as behind:
            behind.add({0: 0})
            raise KeyError

    with pytest.raises(KeyError):
        leave()
    assert time.monotonic() - begun < 5
    gate.set()
