"""Hangs, deaths and memory bombs cost one verdict each, and nothing outlives its parent."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.contracts.errors import StageError
from assay.contracts.records import Verdict
from assay.contracts.verifier import STRICT, Gsm8kVerifier
from assay.verifiers import VerifierPool
from assay.verifiers.outcome import Question

EASY = Question(r"\int_0^1 x\,dx", "1/2", "given")
HANGS = Question(r"\sum_{n=1}^{10^9} \frac{1}{n}", "1", "given")
LONG_S = 60.0
SHARED = VerifierPool(time_limit_s=LONG_S)


@pytest.fixture
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(time_limit_s=LONG_S) as pool:
        yield pool


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def wait_until_gone(pids: list[int]) -> None:
    deadline = time.monotonic() + 30
    while not all(map(gone, pids)):
        assert time.monotonic() < deadline, f"still running: {[pid for pid in pids if not gone(pid)]}"
        time.sleep(0.05)


def test_a_worker_answers_and_persists(pool: VerifierPool) -> None:
    assert [v.status for v in pool.settle([EASY, EASY])] == ["correct", "correct"]
    (worker,) = pool.worker_pids
    child, spare = children(worker)
    pool.settle([EASY])
    assert (pool.worker_pids, children(worker)) == ([worker], [child, spare])
    assert (pool.questions, pool.timeouts, pool.deaths) == (3, 0, 0)


def test_a_hang_is_a_timeout_its_process_is_killed_and_the_next_question_is_answered(pool: VerifierPool) -> None:
    """F08, F19."""
    pool.settle([EASY])
    child, spare = children(pool.worker_pids[0])
    pool.time_limit_s = 0.5
    (late,) = pool.settle([HANGS])
    pool.time_limit_s = LONG_S
    assert (late.status, late.detail) == ("timeout", "no verdict within 0.5 s")
    assert gone(child)
    assert pool.settle([EASY])[0].status == "correct"
    assert spare in children(pool.worker_pids[0])
    assert (pool.timeouts, pool.deaths) == (1, 0)


def test_the_call_after_a_kill_costs_what_any_call_costs(pool: VerifierPool) -> None:
    """A fresh interpreter would take a second; the margin is for a busy machine."""
    pool.settle([EASY] * 3)
    usual_s = sorted(pool.settle([EASY])[0].seconds for _ in range(9))
    after_s = []
    for _ in range(5):
        pool.time_limit_s = 0.2
        assert pool.settle([HANGS])[0].status == "timeout"
        pool.time_limit_s = LONG_S
        after_s.append(pool.settle([EASY])[0].seconds)
    assert sorted(after_s)[2] < 5 * usual_s[4] + 0.05


def test_a_worker_can_be_started_before_it_is_asked(pool: VerifierPool) -> None:
    started = time.monotonic()
    pool.start()
    assert time.monotonic() - started < 0.5, "it gets ready on its own"
    (worker,) = pool.worker_pids
    pool.start()
    assert pool.settle([EASY])[0].status == "correct"
    assert pool.worker_pids == [worker]


def test_no_worker_is_started_for_verifiers_that_ask_none(pool: VerifierPool) -> None:
    pool.start([STRICT, Gsm8kVerifier()])
    assert pool.worker_pids == []


def test_a_killed_comparison_is_an_error_and_is_replaced(pool: VerifierPool) -> None:
    """F19."""
    pool.settle([EASY])
    os.kill(children(pool.worker_pids[0])[0], signal.SIGKILL)
    assert [v.status for v in pool.settle([EASY, EASY])] == ["error", "correct"]
    assert pool.deaths == 1


def test_a_killed_worker_is_an_error_and_is_replaced(pool: VerifierPool) -> None:
    """F19."""
    pool.settle([EASY])
    (worker,) = pool.worker_pids
    child = children(worker)
    os.kill(worker, signal.SIGKILL)
    assert [v.status for v in pool.settle([EASY, EASY])] == ["error", "correct"]
    wait_until_gone([worker, *child])


def test_a_memory_bomb_is_an_error_and_not_a_wrong_answer() -> None:
    """F08, F19."""
    script = (
        "from assay.verifiers import algebra, worker\n"
        "worker._limit_memory(300 * 1024**2)\n"
        "algebra.compare = lambda pred, gold: bytearray(400 * 1024**2)\n"
        "print(worker._answer({'pred': '1', 'gold': '1', 'limit_s': 60}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("{'status': 'error', 'detail': 'MemoryError")


def test_a_worker_that_cannot_start_is_a_stage_error_that_says_what_to_do() -> None:
    with VerifierPool(memory_limit_bytes=16 * 1024**2) as pool, pytest.raises(StageError, match="memory_limit_bytes"):
        pool.settle([EASY])


def test_a_pool_serves_many_threads_at_once() -> None:
    results: list[Verdict] = []
    with VerifierPool(workers=2, time_limit_s=LONG_S) as pool:
        threads = [threading.Thread(target=lambda: results.extend(pool.settle([EASY, EASY]))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(pool.worker_pids) <= 2
    assert [v.status for v in results] == ["correct"] * 8


def test_order_is_kept_when_workers_run_side_by_side() -> None:
    questions = [Question(rf"\int_0^{i} 2x\,dx", str(i * i + i % 2), "given") for i in range(1, 7)]
    with VerifierPool(workers=2, time_limit_s=LONG_S) as pool:
        assert [v.status for v in pool.settle(questions)] == ["wrong", "correct"] * 3


async def _score_in_a_loop(pool: VerifierPool) -> list[Verdict]:
    here = pool.settle([EASY])
    there = await asyncio.gather(*(asyncio.to_thread(pool.settle, [EASY]) for _ in range(3)))
    return [*here, *(verdict for verdicts in there for verdict in verdicts)]


def test_a_running_event_loop_may_ask_directly_and_through_threads(pool: VerifierPool) -> None:
    assert [v.status for v in asyncio.run(_score_in_a_loop(pool))] == ["correct"] * 4


def score_here(_: int) -> tuple[str, int]:
    """In another process; `SHARED` is what a fork inherits."""
    verdict = SHARED.settle([EASY])[0]
    return verdict.status, SHARED.worker_pids[0]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_score_with_workers_of_their_own(method: str) -> None:
    """A fork must not read from its parent's pipes."""
    SHARED.settle([EASY])
    (own,) = SHARED.worker_pids
    with multiprocessing.get_context(method).Pool(2) as processes:
        answers = processes.map(score_here, range(4), chunksize=1)
    assert {status for status, _ in answers} == {"correct"}
    assert own not in {pid for _, pid in answers}
    assert SHARED.settle([EASY])[0].status == "correct"
    SHARED.close()


def test_closing_ends_every_process(pool: VerifierPool) -> None:
    pool.settle([EASY])
    pids = [*pool.worker_pids, *children(pool.worker_pids[0])]
    pool.close()
    wait_until_gone(pids)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "busy"])
def test_workers_die_with_a_parent_that_is_killed(busy: bool) -> None:
    script = (
        "import time\n"
        "from assay.verifiers import VerifierPool\nfrom assay.verifiers.outcome import Question\n"
        f"pool = VerifierPool(time_limit_s=1000)\npool.settle([Question{tuple(EASY)!r}])\n"
        "print(pool.worker_pids[0], flush=True)\n"
        + (f"pool.settle([Question{tuple(HANGS)!r}])\n" if busy else "time.sleep(1000)\n")
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    pids = [worker, *children(worker)]
    parent.kill()
    parent.wait()
    wait_until_gone(pids)
