"""A stage ends with the run that started it."""

from __future__ import annotations

import os
import subprocess
import sys

from assay.stages.orphan import RUN_PID

LONG_S = 60
STAGE = "from assay.stages.orphan import end_with_run; end_with_run(); print(flush=True); import sys; sys.stdin.read()"


def start_stage(run_pid: int | None) -> subprocess.Popen[bytes]:
    """A process that waits for the end of its input, as a stage that works would."""
    environment = {name: value for name, value in os.environ.items() if name != RUN_PID}
    named = {} if run_pid is None else {RUN_PID: str(run_pid)}
    command = [sys.executable, "-c", STAGE]
    stage = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment | named)
    assert stage.stdout is not None
    stage.stdout.readline()  # it watches by now
    return stage


def test_a_stage_ends_when_its_run_is_gone() -> None:
    run = subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
    with run, start_stage(run.pid) as stage:
        run.kill()
        run.wait()
        assert stage.wait(LONG_S) == 75


def test_a_stage_whose_run_lives_works_to_its_end() -> None:
    with start_stage(os.getpid()) as stage:
        stage.communicate(timeout=LONG_S)
    assert stage.returncode == 0


def test_a_stage_of_no_run_works_to_its_end() -> None:
    with start_stage(None) as stage:
        stage.communicate(timeout=LONG_S)
    assert stage.returncode == 0
