"""A thread that works through tasks in order, and whose failures are nobody's secret."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from assay.training.background import Background


def test_tasks_are_done_one_after_the_other_in_their_order() -> None:
    background, seen = Background("test"), []
    futures = [background.submit(lambda place=place: seen.append(place)) for place in range(50)]
    for future in futures:
        future.result(5)
    assert seen == list(range(50))
    assert background.close(5)


def test_what_a_task_dies_of_is_raised_where_its_result_is_asked_for_and_the_next_is_done() -> None:
    background = Background("test")
    failed, done = background.submit(lambda: 1 // 0), background.submit(lambda: "done")
    with pytest.raises(ZeroDivisionError):
        failed.result(5)
    assert done.result(5) == "done"


def test_a_task_that_was_cancelled_in_time_is_never_begun() -> None:
    background, gate, seen = Background("test"), threading.Event(), []
    background.submit(lambda: gate.wait(5))
    cancelled = background.submit(lambda: seen.append(1))
    assert cancelled.cancel()
    gate.set()
    assert background.close(5)
    assert seen == []


def test_a_task_that_takes_too_long_is_broken_off_and_those_behind_it_are_not_begun() -> None:
    """Else Python would end under the thread, and abort a process that has only been asked to leave."""
    background, seen = Background("counting"), list[int]()

    def count() -> None:
        for number in range(10_000):
            seen.append(number)
            time.sleep(0.01)

    broken, after = background.submit(count), background.submit(lambda: seen.append(-1))
    begun = time.monotonic()
    assert not background.close(0.2)
    assert time.monotonic() - begun < 5
    assert isinstance(broken.exception(5), SystemExit)
    assert not after.done()
    assert -1 not in seen
    assert not [thread for thread in threading.enumerate() if thread.name == "counting"]


def test_a_task_that_hangs_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("assay.training.background.ABANDON_S", 0.1)
    background, gate = Background("test"), threading.Event()
    background.submit(lambda: gate.wait(30))
    begun = time.monotonic()
    assert not background.close(0.1)
    assert time.monotonic() - begun < 5
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "test")
    gate.set()


def test_one_that_was_never_used_is_closed_at_once() -> None:
    assert Background("test").close(0)


def test_the_thread_is_on_the_accelerator_of_the_one_that_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA starts every thread on the first, and of several training processes only one is there."""
    seen: list[tuple[str, object]] = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 3)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: seen.append((threading.current_thread().name, device)))
    background = Background("test")
    background.submit(lambda: seen.append(("task", None)))
    assert background.close(5)
    assert seen == [("test", 3), ("task", None)]
