"""How far a stage is, for people: into the file that `assay run` watches, or as plain lines in a container's log.

    {"node": "train curriculum/seed0", "state": "running", "done": 12, "total": 40, "unit": "steps", "note": "…"}

One JSON object a line, at most five a second, and one when the stage ends.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

PROGRESS_FILE = "ASSAY_PROGRESS_FILE"
"""Environment variable that names the file."""
_FILE_PERIOD_S = 0.2
_LOG_PERIOD_S = 10.0


@dataclass(frozen=True, slots=True)
class ProgressEvent:
    """One line of the progress file."""

    node: str
    state: Literal["running", "done", "failed"]
    done: int
    total: int
    unit: str
    note: str = ""
    exit_code: int = 0
    """Of a failed stage: the exit code of its error class."""


class StageProgress:
    """Counts towards a total and says so now and then."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.file = os.environ.get(PROGRESS_FILE)
        self.done = 0
        self.total = 1
        self.unit = ""
        self.last_s = 0.0

    def begin(self, total: int, unit: str) -> None:
        """Start counting anew."""
        self.done, self.total, self.unit, self.last_s = 0, max(1, total), unit, 0.0
        self._tell("running", "")

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more are done."""
        self.done += count
        period = _FILE_PERIOD_S if self.file else _LOG_PERIOD_S
        if time.monotonic() - self.last_s >= period or self.done >= self.total:
            self._tell("running", note)

    def end(self, note: str) -> None:
        """The stage is committed."""
        self._tell("done", note)

    def fail(self, message: str, exit_code: int) -> None:
        """The stage failed."""
        self._tell("failed", message, exit_code)

    def _tell(self, state: Literal["running", "done", "failed"], note: str, exit_code: int = 0) -> None:
        self.last_s = time.monotonic()
        event = ProgressEvent(self.node, state, self.done, self.total, self.unit, note, exit_code)
        if self.file:
            with Path(self.file).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(event)) + "\n")
        else:
            print(f"{self.node}: {self.done}/{self.total} {self.unit} {note}".rstrip(), file=sys.stderr, flush=True)


class SilentProgress(StageProgress):
    """Of a process beside the one that tells."""

    def _tell(self, state: Literal["running", "done", "failed"], note: str, exit_code: int = 0) -> None:
        pass
