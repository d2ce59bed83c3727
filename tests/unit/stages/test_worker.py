"""A stage in a process of its own: what is written into its argv is what is read from it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.errors import PreflightError, StageError
from assay.contracts.launch import Torchrun
from assay.contracts.manifest import Manifest
from assay.contracts.stage import Runtime
from assay.launch.last_words import LAST_WORDS, understand
from assay.stages import train, worker
from assay.stages.step import Step
from assay.stages.worker import main, run_apart, worker_argv
from assay.storage import Artifact, open_store

KEY = "3f9c0d5e7a1b2c4d6e8f"
STEP = Step(
    ablation="ablations/9c.json",
    node="train lr=1e-5, plain/seed0",
    key=KEY,
    root="s3://bucket/prefix",
    runtime=Runtime(device="cpu", launch=Torchrun(grace_s=5)).model_dump_json(),
)


@pytest.fixture
def artifact(tmp_path: Path) -> Artifact:
    return Artifact(open_store(str(tmp_path / "store")), "train", KEY)


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "words"
    monkeypatch.setenv(LAST_WORDS, str(file))
    monkeypatch.setattr(worker, "end_with_parent", lambda _: None)
    return file


def manifest() -> Manifest:
    fields: dict[str, Any] = {"stage": "train", "key": KEY, "stage_version": 1, "spec": {}, "files": ()}
    times: dict[str, Any] = {"seconds": 1.0, "started_at": "2026-05-04T08:00:00+00:00"}
    return Manifest(**fields, **times, metrics={}, dropped={}, findings=(), environment={}, assay_version="0")


def test_what_is_written_is_what_the_stage_is_called_with(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called: dict[str, str] = {}
    monkeypatch.setattr(train, "main", lambda **named: called.update(named))
    main(worker_argv(STEP, "train")[2:])
    runtime = json.loads(called.pop("runtime"))
    assert called == {"ablation": STEP.ablation, "node": STEP.node, "key": STEP.key, "root": STEP.root}
    assert runtime == {"device": "cpu"}, "the worker trains itself: it launches nothing"
    assert not words.exists()


def test_no_word_looks_like_an_option_of_torchrun() -> None:
    assert [word for word in worker_argv(STEP, "train") if word.startswith("-")] == ["-m"]


def test_a_committed_stage_starts_nothing(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "launch", lambda *_: pytest.fail("it is committed"))
    committed = artifact.commit(manifest())
    assert run_apart(STEP, artifact, Torchrun()) == committed


def test_what_its_processes_committed_is_the_result(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    def trains(argv: Sequence[str], spec: Torchrun, node: str, key: str) -> None:
        assert (argv, spec, node, key) == (worker_argv(STEP, "train"), Torchrun(), STEP.node, KEY)
        artifact.commit(manifest())

    monkeypatch.setattr(worker, "launch", trains)
    assert run_apart(STEP, artifact, Torchrun()) == manifest()


def test_processes_that_commit_nothing_have_failed(artifact: Artifact, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "launch", lambda *_: None)
    with pytest.raises(StageError, match=r"ended well, yet .* is not committed"):
        run_apart(STEP, artifact, Torchrun())


def test_a_stage_that_refuses_leaves_its_words_and_its_code(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusal = PreflightError("F03/acceptance: 0 of 64")

    def refuses(**_: str) -> None:
        raise SystemExit(refusal.exit_code) from refusal

    monkeypatch.setattr(train, "main", refuses)
    with pytest.raises(SystemExit) as left:
        main(worker_argv(STEP, "train")[2:])
    assert left.value.code == PreflightError.exit_code
    assert repr(understand(words.read_text())) == repr(refusal)


def test_a_bug_leaves_its_name(words: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "main", lambda **_: {}["missing"])
    with pytest.raises(KeyError):
        main(worker_argv(STEP, "train")[2:])
    assert repr(understand(words.read_text())) == repr(StageError("KeyError: 'missing'"))
