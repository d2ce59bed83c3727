"""A pool of worker processes for the comparisons that need computer algebra (F08).

Workers are fresh interpreters (never forks of a parent that may hold a CUDA context and threads), started when the
first question needs one (or ahead of it, by `start`), and persistent. Calls may come from any thread, from within an
event loop, and from a forked process, which starts workers of its own; a worker belongs to one question at a time. A
question that is late costs the process that works on it its life, and nothing else: see `worker` for who
kills whom. A worker gets ready while the caller does other things; its first question waits for that, which is not
charged to the question's time limit.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from types import TracebackType
from typing import Any, Self

from assay.contracts.errors import StageError
from assay.contracts.records import Verdict, VerdictStatus
from assay.contracts.verifier import SYMBOLIC, MathVerifier, Verifier
from assay.verifiers.extract import before_stop
from assay.verifiers.outcome import Question
from assay.verifiers.registry import judge, kind_of
from assay.verifiers.worker import LineReader

DEFAULT_MEMORY_LIMIT_BYTES = 400 * 1024**2
DEFAULT_TIME_LIMIT_S = 0.75
"""With the time to notice and to kill, a late question is answered within a second."""
_START_LIMIT_MS = 120_000
_SUPERVISOR_MARGIN_MS = 5_000


class Worker:
    """One worker process and the pipes to it."""

    def __init__(self, memory_limit_bytes: int) -> None:
        environment = os.environ | {
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "OMP_NUM_THREADS": "1",
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "assay.verifiers.worker", str(memory_limit_bytes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions, self._replies = self._process.stdin, self._process.stdout
        self._reader = LineReader(self._replies.fileno())
        self._memory_limit_bytes, self._ready = memory_limit_bytes, False

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, question: Question, limit_s: float) -> dict[str, Any]:
        """The worker's reply.

        Raises:
            EOFError, BrokenPipeError: the worker is dead, or so late that it must be.
            StageError: it does not start.
        """
        if not self._ready:
            self._wait_until_ready()
        message = {"pred": question.pred, "gold": question.gold, "limit_s": limit_s}
        self._questions.write(json.dumps(message).encode() + b"\n")
        reply = self._reader.line(limit_s * 1000 + _SUPERVISOR_MARGIN_MS)
        if reply is None:
            raise EOFError
        return dict(json.loads(reply))

    def _wait_until_ready(self) -> None:
        try:
            started = self._reader.line(_START_LIMIT_MS)
        except EOFError as death:
            raise StageError(
                f"verifier worker: it ended with code {self._process.wait()} while starting. Raise memory_limit_bytes "
                f"({self._memory_limit_bytes}), or run `python -m assay.verifiers.worker {self._memory_limit_bytes}` "
                "to see why"
            ) from death
        if started is None:
            raise StageError(
                f"verifier worker: not ready after {_START_LIMIT_MS / 1000:.0f} s. Free this machine's processors"
            )
        self._ready = True

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._questions.close()
        self._replies.close()


class VerifierPool:
    """Scores responses; comparisons that need computer algebra run in at most `workers` processes, side by side.

    Attributes:
        questions: comparisons that were given to a worker.
        timeouts: questions that ran into the time limit; each cost a process, which was killed and replaced.
        deaths: processes that died while they had a question, for instance by the kernel's out-of-memory killer.
    """

    def __init__(
        self,
        workers: int = 1,
        time_limit_s: float = DEFAULT_TIME_LIMIT_S,
        memory_limit_bytes: int = DEFAULT_MEMORY_LIMIT_BYTES,
    ) -> None:
        self.workers = workers
        self.time_limit_s = time_limit_s
        self.memory_limit_bytes = memory_limit_bytes
        self.questions = self.timeouts = self.deaths = 0
        self._reset()
        _pools.add(self)

    def _reset(self) -> None:
        """As new: also the locks, which another thread may have held when this process was forked."""
        self._lock = threading.Lock()
        self._idle: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(self.workers):
            self._idle.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all idle workers. The pool may be used again; it then starts new ones."""
        for worker in self._workers():
            worker.kill()
        self._reset()

    def start(self, verifiers: Iterable[Verifier] = (SYMBOLIC,)) -> None:
        """Starts a worker if one of the verifiers may ask it. It gets ready, which takes a second, on its own."""
        if not any(isinstance(verifier, MathVerifier) and verifier.equality == "symbolic" for verifier in verifiers):
            return
        worker = self._idle.get()
        try:
            worker = worker or Worker(self.memory_limit_bytes)
        finally:
            self._idle.put(worker)

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the idle workers (their supervisors)."""
        return [worker.pid for worker in self._workers()]

    def _workers(self) -> list[Worker]:
        return [worker for worker in self._idle.queue if worker is not None]

    def score(self, verifier: Verifier, items: Sequence[tuple[str, str]], stop: Sequence[str] = ()) -> list[Verdict]:
        """The verdict on every (response, reference), in order, on the text before the first stop string (F12).

        Raises:
            StageError: a worker cannot be started.
            AssayError: this machine cannot judge, for instance for want of a sandbox; the message says what to do.
        """
        kind = kind_of(verifier)
        kind.ready(verifier)
        texts = [(before_stop(response, stop), reference) for response, reference in items]
        if kind.PARALLEL == 1:
            return self.settle([judge(verifier, *text) for text in texts], kind.VERSION)
        with ThreadPoolExecutor(kind.PARALLEL) as threads:
            return self.settle(list(threads.map(lambda text: judge(verifier, *text), texts)), kind.VERSION)

    def settle(self, outcomes: Sequence[Verdict | Question], version: int = 0) -> list[Verdict]:
        """Verdicts stay; questions are answered by workers, in the name of the verifier's version."""
        questions = [outcome for outcome in outcomes if isinstance(outcome, Question)]
        if len(questions) < 2 or self.workers == 1:
            answers = iter([self._answer(question, version) for question in questions])
        else:
            with ThreadPoolExecutor(min(self.workers, len(questions))) as threads:
                answers = iter(list(threads.map(lambda question: self._answer(question, version), questions)))
        return [next(answers) if isinstance(outcome, Question) else outcome for outcome in outcomes]

    def _answer(self, question: Question, version: int) -> Verdict:
        started = perf_counter()
        reply = self._reply(question)
        status: VerdictStatus = "error" if reply["status"] == "died" else reply["status"]
        detail = f"no verdict within {self.time_limit_s:g} s" if status == "timeout" else reply["detail"]
        with self._lock:
            self.questions += 1
            self.timeouts += status == "timeout"
            self.deaths += reply["status"] == "died"
        score, seconds = float(status == "correct"), perf_counter() - started
        return Verdict(status, score, question.pred, question.method, detail, version, seconds)

    def _reply(self, question: Question) -> dict[str, Any]:
        worker, alive = self._idle.get(), False
        try:
            worker = worker or Worker(self.memory_limit_bytes)
            reply = worker.ask(question, self.time_limit_s)
            alive = True
        except (EOFError, BrokenPipeError):
            reply = {"status": "died", "detail": "the verifier worker died"}
        finally:
            if worker is not None and not alive:
                worker.kill()
            self._idle.put(worker if alive else None)
        return reply


_pools: weakref.WeakSet[VerifierPool] = weakref.WeakSet()


def _after_fork() -> None:
    """A fork shares its parent's pipes and must not read from them."""
    for pool in list(_pools):
        pool._reset()


os.register_at_fork(after_in_child=_after_fork)
