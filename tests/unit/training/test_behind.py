"""Work beside the making of what it works on: in batches, each item once, and its errors are heard."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import pytest

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
