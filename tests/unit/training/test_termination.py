"""SIGTERM ends a run where nothing is lost, and never in the middle of a change."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from assay.contracts.scale import Rank
from assay.training.termination import Terminated, Termination
from assay.training.world import ALONE, World


def ask() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def test_it_ends_work_that_can_be_thrown_away_at_once() -> None:
    termination, reached = Termination(ALONE), ["the work"]

    def work() -> None:
        with termination.interruptible():
            ask()
            reached.append("its end")

    with termination.listening(), pytest.raises(Terminated):
        work()
    assert reached == ["the work"]


def test_it_waits_where_something_is_being_changed_and_ends_the_next_work_at_its_beginning() -> None:
    termination, changed = Termination(ALONE), []
    with termination.listening():
        ask()
        changed.append("all of it")
        with pytest.raises(Terminated), termination.interruptible():
            changed.append("nothing more")
    assert termination.asked
    assert changed == ["all of it"]


def test_a_second_signal_does_not_interrupt_the_clearing_up() -> None:
    termination = Termination(ALONE)
    with termination.listening():
        with pytest.raises(Terminated), termination.interruptible():
            ask()
        ask()
        cleared = True
    assert cleared


def test_the_handler_of_before_is_put_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Termination(ALONE).listening():
        assert signal.getsignal(signal.SIGTERM) != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_outside_the_main_thread_nothing_is_heard_and_nothing_breaks() -> None:
    done: list[bool] = []

    def work() -> None:
        with (termination := Termination(ALONE)).listening(), termination.interruptible():
            done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(5)
    assert done == [True]


class TwoProcesses(World):
    """A world whose other process has heard the signal."""

    def gather(self, value: object) -> list[object]:  # type: ignore[override]
        return [value, True]


def test_of_several_processes_all_leave_when_one_was_asked() -> None:
    with pytest.raises(Terminated), Termination(TwoProcesses(Rank())).interruptible():
        pytest.fail("went on alone")
