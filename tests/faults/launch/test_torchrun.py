"""Training under a real torchrun, ended in every way it can end: nothing stays behind, and the cause is told."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from assay.contracts.errors import DataError, Retryable, StageError
from assay.contracts.launch import Torchrun
from assay.launch import launch
from assay.launch.torchrun import run_torchrun

WORKER = """
import os, signal, sys, time
from pathlib import Path
from assay.contracts.errors import DataError, StageError
from assay.launch.last_words import leave
from assay.launch.parent import end_with_parent

end_with_parent(signal.SIGKILL)
how, folder = sys.argv[1], Path(sys.argv[2])
(folder / f"rank-{os.environ['RANK']}-of-{os.environ['WORLD_SIZE']}").write_text(str(os.getpid()))
if how.startswith("second: "):
    how, _, first = how.removeprefix("second: ").partition(", ")
    if os.environ["RANK"] == "0":
        how = first
if how == "loses its peer":
    peer = folder / "rank-1-of-2"
    while not (peer.exists() and peer.read_text()):
        time.sleep(0.02)
    state = Path("/proc", peer.read_text(), "stat")
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":  # dead, not yet waited for
        time.sleep(0.02)
    leave(StageError("RuntimeError: Connection closed by peer"))
    sys.exit(1)
if how == "data error":
    error = DataError("tasks.sums", "17 ids are unknown", "Use the ids of the data file")
    leave(error)
    sys.exit(error.exit_code)
if how == "exit 7":
    sys.exit(7)
if how == "out of memory":
    os.kill(os.getpid(), signal.SIGKILL)
if how == "torchrun is killed":
    os.kill(os.getppid(), signal.SIGKILL)
if how != "well":
    time.sleep(300)
print("trained", flush=True)
"""

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tiny_worker.py").write_text(WORKER)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(Path.cwd())]))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def start(how: str, folder: Path, processes: int = 1) -> None:
    launch(["-m", "tiny_worker", how, str(folder)], Torchrun(processes=processes), "train plain/seed0", "k" * 20)


def alive(folder: Path) -> list[int]:
    """The ranks that still run; the kernel gets a moment to end them."""
    pids = [int(file.read_text()) for file in folder.glob("rank-*")]
    assert pids, "no rank ever started"
    end_s = time.monotonic() + 10
    while (running := [pid for pid in pids if _runs(pid)]) and time.monotonic() < end_s:
        time.sleep(0.05)
    return running


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def test_output_passes_through_and_a_good_end_is_silent(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    start("well", tmp_path)
    assert "trained" in capfd.readouterr().out
    assert (tmp_path / "rank-0-of-1").exists()


def test_the_workers_error_is_raised_here_as_it_was_there(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        start("data error", tmp_path)
    assert caught.value.where == "tasks.sums"
    assert str(caught.value) == "tasks.sums: 17 ids are unknown. Use the ids of the data file"


def test_an_exit_code_survives_torchrun(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="exit code 7"):
        start("exit 7", tmp_path)


def test_a_killed_worker_was_probably_out_of_memory(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="SIGKILL, probably out of memory"):
        start("out of memory", tmp_path)


def test_a_killed_torchrun_leaves_no_worker_behind(tmp_path: Path) -> None:
    with pytest.raises(StageError, match="SIGKILL"):
        start("torchrun is killed", tmp_path)
    assert alive(tmp_path) == []


def test_past_its_deadline_even_a_deaf_process_is_ended(tmp_path: Path) -> None:
    deaf = "import os, pathlib, signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    tell = "pathlib.Path(sys.argv[1], 'rank-0').write_text(str(os.getpid())); time.sleep(300)"
    argv = [sys.executable, "-c", f"{deaf}; {tell}", str(tmp_path)]
    with pytest.raises(StageError, match="did not end within its deadline of 3 s"):
        run_torchrun(argv, Torchrun(deadline_s=3, grace_s=1), "train plain/seed0")
    assert alive(tmp_path) == []


def test_sigterm_ends_the_worker_and_is_worth_another_try(tmp_path: Path) -> None:
    program = f"""
import sys
from assay.contracts.errors import AssayError
from assay.contracts.launch import Torchrun
from assay.launch import launch
try:
    launch(["-m", "tiny_worker", "sleep", {str(tmp_path)!r}], Torchrun(), "train plain/seed0", "k")
except AssayError as error:
    print(error)
    sys.exit(error.exit_code)
"""
    step = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    _await_rank(tmp_path)
    step.send_signal(signal.SIGTERM)
    out, _ = step.communicate(timeout=30)
    assert step.returncode == Retryable.exit_code
    assert "train plain/seed0: ended by SIGTERM" in out
    assert alive(tmp_path) == []


def test_a_killed_step_takes_torchrun_and_its_worker_with_it(tmp_path: Path) -> None:
    program = f"""
from assay.contracts.launch import Torchrun
from assay.launch import launch
launch(["-m", "tiny_worker", "sleep", {str(tmp_path)!r}], Torchrun(), "train plain/seed0", "k")
"""
    step = subprocess.Popen([sys.executable, "-c", program])
    _await_rank(tmp_path)
    step.kill()
    step.wait(10)
    assert alive(tmp_path) == []


def test_two_processes_are_numbered(tmp_path: Path) -> None:
    start("well", tmp_path, processes=2)
    assert {file.name for file in tmp_path.glob("rank-*")} == {"rank-0-of-2", "rank-1-of-2"}


def test_the_error_of_one_process_ends_the_others(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="17 ids are unknown"):
        start("second: data error", tmp_path, processes=2)
    assert alive(tmp_path) == []


@pytest.mark.parametrize("first", ["loses its peer", "waits"])
def test_a_killed_process_is_the_cause_whatever_those_say_that_lost_it(tmp_path: Path, first: str) -> None:
    with pytest.raises(StageError, match="SIGKILL, probably out of memory"):
        start(f"second: out of memory, {first}", tmp_path, processes=2)
    assert alive(tmp_path) == []


def _await_rank(folder: Path) -> None:
    end_s = time.monotonic() + 60
    while not list(folder.glob("rank-*")):
        assert time.monotonic() < end_s, "the worker never started"
        time.sleep(0.1)
    time.sleep(0.2)
