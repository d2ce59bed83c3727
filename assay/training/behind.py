"""Work on what is done while the rest is still being made, on one thread beside it.

What arrives while a batch is being worked on makes the next batch, so work that is dear in each call, as starting a
sandbox, is not asked for once an item. Results are not waited for without end, and not at all where nobody will ask for
them any more: a run that is being ended has seconds.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from types import TracebackType
from typing import Generic, Self, TypeVar

from assay.training.background import PATIENCE_S, Background, awaited

LEAVE_S = 1.0
"""For work whose results nobody will ask for; then it is broken off."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Behind(Generic[Item, Result]):
    """`work` turns items into results, by their places; it is called from one thread alone."""

    def __init__(
        self, work: Callable[[Mapping[int, Item]], Mapping[int, Result]], patience_s: float = PATIENCE_S
    ) -> None:
        self.work = work
        self.patience_s = patience_s
        self.thread = Background("behind")
        self.waiting: deque[Mapping[int, Item]] = deque()
        self.calls: list[Future[None]] = []
        self.found: dict[int, Result] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            for call in self.calls:
                call.cancel()
        self.thread.close(self.patience_s if kind is None else LEAVE_S)

    def add(self, items: Mapping[int, Item]) -> None:
        """Have these worked on; returns at once."""
        self.waiting.append(items)
        self.calls.append(self.thread.submit(self._work_off))

    def results(self) -> dict[int, Result]:
        """Of everything that was added. Raises what the work raised, and StageError when it takes too long (F07)."""
        deadline = time.monotonic() + self.patience_s
        for call in self.calls:
            awaited(call, deadline - time.monotonic(), "verdicts of the last completions", "the verifiers")
        return self.found

    def _work_off(self) -> None:
        """All that waits by now, as one batch."""
        batch: dict[int, Item] = {}
        while self.waiting:
            batch |= self.waiting.popleft()
        if batch:
            self.found |= self.work(batch)
