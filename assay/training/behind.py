"""Work on what is done while the rest is still being made, on one thread beside it.

What arrives while a batch is being worked on makes the next batch, so work that is dear in each call, as starting a
sandbox, is not asked for once an item.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Generic, Self, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Behind(Generic[Item, Result]):
    """`work` turns items into results, by their places; it is called from one thread alone."""

    def __init__(self, work: Callable[[Mapping[int, Item]], Mapping[int, Result]]) -> None:
        self.work = work
        self.thread = ThreadPoolExecutor(1, "behind")
        self.waiting: deque[Mapping[int, Item]] = deque()
        self.calls: list[Future[None]] = []
        self.found: dict[int, Result] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.thread.shutdown(cancel_futures=True)

    def add(self, items: Mapping[int, Item]) -> None:
        """Have these worked on; returns at once."""
        self.waiting.append(items)
        self.calls.append(self.thread.submit(self._work_off))

    def results(self) -> dict[int, Result]:
        """Of everything that was added. Raises what the work raised."""
        for call in self.calls:
            call.result()
        return self.found

    def _work_off(self) -> None:
        """All that waits by now, as one batch."""
        batch: dict[int, Item] = {}
        while self.waiting:
            batch |= self.waiting.popleft()
        if batch:
            self.found |= self.work(batch)
