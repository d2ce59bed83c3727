"""Bad input: one clear message that names field or file, value and remedy; exit code 2; nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.cli import main as cli

REPOSITORY = Path(__file__).parents[3]
QUICKSTART = "configs/ablations/quickstart.yaml"


def refused(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> str:
    """What the command says on standard error when it leaves with exit code 2."""
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr("sys.argv", ["assay", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("train.stepps=3", ["train.stepps", "unknown key", "Did you mean `steps`"]),
        ("train.steps=many", ["train.steps", "'many'"]),
        ("train.temperature=-1", ["train.temperature", "-1", "greater than 0"]),
        ("train.prompts_per_step=100000", ["prompts_per_step", "100000", "training problems"]),
        ("evaluation.checkpoints=9", ["checkpoint_every_steps", "9"]),
        ("arms.curriculum={optimiser: {}}", ["arms.curriculum", "optimiser", "Did you mean `optimizer`"]),
        ("model.path=./nowhere", ["model.path", "./nowhere", "not a directory"]),
        ("tasks.0.task={style: chat}", ["style", "chat", "F02", "completion"]),
        ("curriculum.file=nowhere.jsonl", ["curriculum.file", "nowhere.jsonl"]),
        ("seeds=[1, 1]", ["seeds", "repeats"]),
        ("steps", ["steps", "key.path=value"]),
    ],
)
def test_a_wrong_setting_is_refused_by_name(
    override: str,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """F02 among them: a chat template for a base model never starts."""
    message = refused(["run", QUICKSTART, override, "--root", str(tmp_path / "root")], monkeypatch, capsys)
    assert message.startswith("error:")
    assert all(part in message for part in told), message
    assert not (tmp_path / "root").exists()


def test_a_missing_file_is_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert "there is no such file" in refused(["plan", "configs/nowhere.yaml"], monkeypatch, capsys)


def test_a_directory_that_is_no_model_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    message = refused(["plan", QUICKSTART, f"model.path={tmp_path}"], monkeypatch, capsys)
    assert "config.json" in message


def test_curriculum_ids_that_the_data_lacks_are_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """F06."""
    file = tmp_path / "curriculum.jsonl"
    file.write_text(json.dumps({"id": "sums/counting_and_probability_46", "n": 8, "c": 3}))
    message = refused(["run", QUICKSTART, f"curriculum.file={file}"], monkeypatch, capsys)
    assert "sums/counting_and_probability_46" in message
