"""Digests of model and environment: what decides numbers is in, where things lie is out."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest

from assay.contracts.ablation import AblationSpec, ModelSpec
from assay.contracts.errors import InvariantError
from assay.plan.resolve import check_environment, locked_environment, model_digest, numeric_environment, resolve
from assay.verifiers.nltk_data import nltk_data


def spec(path: Path | str, revision: str = "main") -> ModelSpec:
    return ModelSpec(path=str(path), kind="base", revision=revision)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "chat_template.jinja"):
        (folder / name).write_text(name)
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "chat_template.jinja", "tokenizer.json"])
def test_any_file_that_decides_changes_the_digest(model: Path, name: str) -> None:
    before = model_digest(spec(model))
    (model / name).write_bytes(b"changed")
    assert model_digest(spec(model)) != before


def test_a_model_card_a_hidden_file_and_another_place_do_not(model: Path, tmp_path: Path) -> None:
    before = model_digest(spec(model))
    (model / "README.md").write_text("card")
    (model / ".gitattributes").write_text("x")
    moved = shutil.copytree(model, tmp_path / "elsewhere")
    assert model_digest(spec(model)) == model_digest(spec(moved)) == before


def test_two_files_that_swap_their_names_are_another_model(model: Path) -> None:
    before = model_digest(spec(model))
    (model / "config.json").write_text("tokenizer.json")
    (model / "tokenizer.json").write_text("config.json")
    assert model_digest(spec(model)) != before


def test_a_hub_model_is_its_id_and_revision() -> None:
    digests = {model_digest(spec(name, revision)) for name in ("a/b", "a/c") for revision in ("main", "1")}
    assert len(digests) == 4


def test_the_environment_names_installed_packages_that_compute_numbers() -> None:
    found = numeric_environment()
    assert found["numpy"] == version("numpy")
    assert "pytest" not in found


def test_resolving_pins_model_data_and_environment(load: Callable[..., AblationSpec]) -> None:
    given = load()
    pinned = resolve(given)
    assert pinned.spec.model.digest == model_digest(given.model)
    assert set(pinned.data_digests) == {"sums"}
    assert pinned.environment == numeric_environment()
    assert resolve(given) == pinned


def test_what_decides_a_verdict_and_is_no_package_is_pinned_where_it_judges(load: Callable[..., AblationSpec]) -> None:
    """The tests of a program run under this Python; NLTK's data says where a sentence ends."""

    def judged_by(kind: str) -> AblationSpec:
        return load(edit_task=lambda task: task.update(verifier={"kind": kind}))

    def extra(spec: AblationSpec) -> dict[str, str]:
        return dict(resolve(spec).environment.items() - numeric_environment().items())

    assert extra(judged_by("math")) == {}
    assert extra(judged_by("code")) == {"python": f"{sys.version_info[0]}.{sys.version_info[1]}"}
    assert extra(judged_by("instructions")) == nltk_data()
    with pytest.raises(InvariantError, match=r"python 3\.\d+, not 2\.7"):
        check_environment({"python": "2.7"})
    part = {"kind": "verifier", "verifier": {"kind": "code"}, "weight": 1.0}
    in_the_reward = load(lambda ablation: ablation["arms"]["hot"].update(reward_weights={"code": part}))
    assert extra(in_the_reward).keys() == {"python"}


def test_nltks_data_is_known_by_what_checks_read(tmp_path: Path) -> None:
    """In a process of its own, since NLTK reads NLTK_DATA when it is imported."""
    pytest.importorskip("nltk")
    folder = tmp_path / "tokenizers/punkt_tab/english"
    folder.mkdir(parents=True)
    command = [sys.executable, "-c", "from assay.verifiers.nltk_data import nltk_data; print(nltk_data())"]

    def told(words: str) -> str:
        (folder / "collocations.tab").write_text(words)
        return subprocess.check_output(command, env=os.environ | {"NLTK_DATA": str(tmp_path)}, text=True)

    assert told("a\tb") == told("a\tb") != told("a\tc")
    assert told("a\tb").startswith("{'nltk-data': '")


def test_a_lock_pins_the_same_environment_as_is_installed_from_it(tmp_path: Path) -> None:
    pins = [
        f"{name}=={version}+cpu" if name == "torch" else f"{name}=={version}"
        for name, version in numeric_environment().items()
    ]
    lock = tmp_path / "requirements.lock"
    lock.write_text("\n".join(f"{pin} \\\n    --hash=sha256:{'a' * 64}" for pin in [*pins, "rich==13.0"]))
    assert locked_environment(lock) == numeric_environment()
