"""SIGTERM: a preempted pod, a drained node, a person. Training writes a checkpoint and asks to be run again.

    while rollouts are made and scored     at once: nothing was changed yet, the resumed run makes or scores them again
    while weights are being changed        when the step is over

So what is left to do within the grace period is a checkpoint, and at most one update and one validation before it. Of
several processes none may leave while another waits for it: they agree at the beginning of each step, so theirs is a
whole step more, and where the grace period is shorter than that they resume from their last checkpoint.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from assay.training.world import World


class Terminated(BaseException):
    """SIGTERM arrived where work can be thrown away. No error: nothing but the loop may catch it."""


class Termination:
    """Whether SIGTERM has arrived."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.asked = False
        self._at_once = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hear SIGTERM within the block; only the main thread can."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.signal(signal.SIGTERM, self._hear)
        try:
            yield
        finally:
            signal.signal(signal.SIGTERM, before)

    @contextmanager
    def interruptible(self) -> Iterator[None]:
        """Raise Terminated within the block, or at its beginning if SIGTERM came before."""
        self._at_once = self.world.rank.of == 1
        try:
            if any(self.world.gather(self.asked)):
                raise Terminated
            yield
        finally:
            self._at_once = False

    def _hear(self, _: int, __: FrameType | None) -> None:
        self.asked = True
        if self._at_once:
            self._at_once = False  # a second one must not interrupt the clearing up
            raise Terminated
