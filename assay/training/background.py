"""A thread that does one thing after another, in the order they were handed in, while training goes on.

What a task returns or dies of is in its future, so an error reaches whoever waits for it. The thread is a daemon: one
that hangs does not keep the process alive. One that works must be closed, or Python ends under it and aborts.
"""

from __future__ import annotations

import ctypes
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

import torch

from assay.contracts.errors import StageError

PATIENCE_S = 3600.0
"""For one step's rollouts, or their verdicts: nothing that works takes so long (F07)."""
ABANDON_S = 5.0
"""For a task to come to the next line of Python when it is broken off."""

Result = TypeVar("Result")
_Task = tuple[Future[Any], Callable[[], Any]]


class Background:
    """One thread, on the accelerator of the thread that makes it; started with the first task."""

    def __init__(self, name: str) -> None:
        self._tasks: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._broken_off = False
        self._device = torch.cuda.current_device() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]

    def submit(self, task: Callable[[], Result]) -> Future[Result]:
        """Have the task done after those before it."""
        future: Future[Result] = Future()
        self._tasks.put((future, task))
        if self._thread.ident is None:
            self._thread.start()
        return future

    def close(self, within_s: float) -> bool:
        """Whether everything that was submitted is done within so many seconds; what is not is broken off. Nothing may
        be submitted after it."""
        self._tasks.put(None)
        if self._thread.ident is None:
            return True
        self._thread.join(within_s)
        in_time = not self._thread.is_alive()
        if not in_time:
            self._break_off(self._thread.ident)
        return in_time

    def _break_off(self, thread: int) -> None:
        """Raise SystemExit at whatever line of Python the thread is."""
        self._broken_off = True
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(SystemExit))
        self._thread.join(ABANDON_S)

    def _work(self) -> None:
        if self._device is not None:
            torch.cuda.set_device(self._device)  # a thread's own in CUDA, and the first until it is set
        for future, task in iter(self._tasks.get, None):
            if not self._broken_off and future.set_running_or_notify_cancel():
                _fulfil(future, task)


def awaited(future: Future[Result], within_s: float, what: str, maker: str) -> Result:
    """What a task returns. Raises what it died of; StageError where `what` it makes is not there within the time."""
    try:
        return future.result(max(0.0, within_s))
    except TimeoutError:
        if future.done():  # it died of a time-out of its own
            raise
        problem = f"{what} were not there within {within_s:.0f} s"
        raise StageError(f"{problem}. Look at {maker}, then run the stage again") from None


def _fulfil(future: Future[Any], task: Callable[[], Any]) -> None:
    try:
        future.set_result(task())
    except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
        future.set_exception(error)
