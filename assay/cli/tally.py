"""The summary of many verdicts: how many of which kind, how accurate, how fast, and what to look at."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import get_args

from assay.cli.responses import Request
from assay.contracts.records import Verdict, VerdictStatus

FAILED = ("error", "timeout")
_STATUSES: tuple[str, ...] = get_args(VerdictStatus)
_METHODS = 6
"""How many are shown."""


@dataclass
class Count:
    """Verdicts of one group. What failed is no wrong answer, and is left out of the accuracy (F19)."""

    statuses: Counter[str] = field(default_factory=Counter)
    score: float = 0.0

    def add(self, verdict: Verdict) -> None:
        self.statuses[verdict.status] += 1
        self.score += verdict.score

    @property
    def judged(self) -> int:
        return self.statuses.total() - sum(self.statuses[status] for status in FAILED)

    def words(self) -> str:
        """`65.3 % right (95 % interval 64.4 to 66.2) of 9,962 judged`."""
        from assay.statistics.intervals import wilson

        right, judged = self.statuses["correct"], self.judged
        if not judged:
            return "none could be judged"
        low, high = wilson(right, judged)
        partial = "" if self.score == right else f", mean score {self.score / judged:.3f}"
        interval = f"95 % interval {low * 100:.1f} to {high * 100:.1f}"
        return f"{right / judged * 100:.1f} % right ({interval}) of {judged:,} judged{partial}"


@dataclass
class Tally:
    """Collects verdicts as they come."""

    begun_s: float = field(default_factory=perf_counter)
    all: Count = field(default_factory=Count)
    groups: dict[tuple[str, str], Count] = field(default_factory=dict)
    """(file, task) -> its verdicts."""
    methods: Counter[str] = field(default_factory=Counter)
    slowest: tuple[Request, Verdict] | None = None
    failures: dict[str, tuple[Request, Verdict]] = field(default_factory=dict)
    """Status -> the first that failed so."""

    def add(self, requests: Sequence[Request], verdicts: Sequence[Verdict]) -> None:
        """Count verdicts in the order of their requests."""
        for request, verdict in zip(requests, verdicts, strict=True):
            self.all.add(verdict)
            self.groups.setdefault((request.file, request.task or "-"), Count()).add(verdict)
            if verdict.method:
                self.methods[verdict.method] += 1
            if self.slowest is None or verdict.seconds > self.slowest[1].seconds:
                self.slowest = request, verdict
            if verdict.status in FAILED:
                self.failures.setdefault(verdict.status, (request, verdict))

    def lines(self, label: str) -> Iterator[str]:
        """The summary, a line at a time."""
        took_s, n = max(perf_counter() - self.begun_s, 1e-9), self.all.statuses.total()
        several = len({file for file, _ in self.groups}) > 1
        if not n:
            yield "there are no responses in it"
            return
        what = f"{n:,} {'response' if n == 1 else 'responses'} judged by {label}"
        yield f"{what} in {took_s:.1f} s, {n / took_s:,.0f} a second"
        yield from (
            f"  {status:<12}{self.all.statuses[status]:>10,}" for status in _STATUSES if self.all.statuses[status]
        )
        yield f"  {self.all.words()}"
        if len(self.groups) > 1:
            yield from (f"    {_group(*key, several)}: {count.words()}" for key, count in self.groups.items())
        if self.methods:
            found = ", ".join(f"{name} {count:,}" for name, count in self.methods.most_common(_METHODS))
            yield f"  found by: {found}"
        for status, (request, verdict) in self.failures.items():
            yield f"  first {status}: {_where(request, several)}: {verdict.detail}"
        if self.slowest and self.slowest[1].seconds > 0:
            request, verdict = self.slowest
            yield f"  slowest: {_time(verdict.seconds)}, {_where(request, several)} ({verdict.status})"


def _group(file: str, task: str, several_files: bool) -> str:
    return f"{Path(file).name}, task {task}" if several_files else f"task {task}"


def _where(request: Request, several_files: bool) -> str:
    file = f"{Path(request.file).name}, " if several_files else ""
    return f"{file}{request.place}" + ("" if request.id is None else f", id {request.id!r}")


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 0.1 else f"{seconds * 1000:.2f} ms"
