"""What a stage says of itself: every beginning and end, and in between no more than a person can read."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from assay.stages.progress import PROGRESS_FILE, StageProgress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Time that stands still until a test moves `now_s`."""
    clock = SimpleNamespace(now_s=100.0)
    monkeypatch.setattr("assay.stages.progress.time", SimpleNamespace(monotonic=lambda: clock.now_s))
    return clock


@pytest.fixture
def events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[dict[str, Any]]]:
    file = tmp_path / "progress.jsonl"
    monkeypatch.setenv(PROGRESS_FILE, str(file))
    return lambda: [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_a_stage_tells_its_beginning_its_steps_and_its_end(events: Any, clock: SimpleNamespace) -> None:
    progress = StageProgress("train plain/seed0")
    progress.begin(3, "steps")
    for step in range(3):
        clock.now_s += 1
        progress.advance(note=f"reward 0.{step}")
    progress.end("4.0 s")
    shared = {"node": "train plain/seed0", "total": 3, "unit": "steps", "exit_code": 0}
    assert events() == [
        shared | {"state": "running", "done": 0, "note": ""},
        shared | {"state": "running", "done": 1, "note": "reward 0.0"},
        shared | {"state": "running", "done": 2, "note": "reward 0.1"},
        shared | {"state": "running", "done": 3, "note": "reward 0.2"},
        shared | {"state": "done", "done": 3, "note": "4.0 s"},
    ]


def test_steps_in_quick_succession_are_told_together(events: Any, clock: SimpleNamespace) -> None:
    progress = StageProgress("curriculum")
    progress.begin(1000, "samples")
    for _ in range(500):
        progress.advance()
    clock.now_s += 0.2
    progress.advance(2)
    assert [event["done"] for event in events()] == [0, 502]


def test_the_last_step_is_told_however_quick_it_comes(events: Any, clock: SimpleNamespace) -> None:
    progress = StageProgress("curriculum")
    progress.begin(2, "samples")
    clock.now_s += 0.01
    progress.advance(2)
    assert [event["done"] for event in events()] == [0, 2]


def test_a_failure_carries_its_message_and_exit_code(events: Any) -> None:
    StageProgress("prepare").fail("tasks.0: 'ä' is no file", 2)
    (event,) = events()
    assert (event["state"], event["note"], event["exit_code"]) == ("failed", "tasks.0: 'ä' is no file", 2)


def test_counting_begins_anew_with_every_part_of_a_stage(events: Any) -> None:
    progress = StageProgress("evaluate base")
    progress.begin(2, "prompts")
    progress.advance(2)
    progress.begin(5, "samples")
    assert [(event["done"], event["total"], event["unit"]) for event in events()] == [
        (0, 2, "prompts"),
        (2, 2, "prompts"),
        (0, 5, "samples"),
    ]


def test_nothing_to_do_is_still_a_total_of_one(events: Any) -> None:
    StageProgress("curriculum").begin(0, "prompts")
    assert events()[0]["total"] == 1


def test_without_a_file_the_log_gets_plain_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], clock: SimpleNamespace
) -> None:
    monkeypatch.delenv(PROGRESS_FILE, raising=False)
    progress = StageProgress("prepare")
    progress.begin(10, "problems")
    for _ in range(4):
        clock.now_s += 4
        progress.advance()
    progress.end("1.2 s")
    assert capsys.readouterr().err.splitlines() == [
        "prepare: 0/10 problems",
        "prepare: 3/10 problems",
        "prepare: 4/10 problems 1.2 s",
    ]
