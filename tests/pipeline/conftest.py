"""A whole ablation, small: the shipped model, two arms, one seed, through kfp.local; run once for all tests here."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
SMALL = [
    "seeds=[0]",
    "train.steps=4",
    "train.checkpoint_every_steps=2",
    "train.validate_every_steps=2",
    "train.prompts_per_step=8",
    "train.samples_per_prompt=4",
    "tasks.0.train=48",
    "tasks.0.validation=8",
    "tasks.0.heldout=24",
    "arms={base settings: {}, adaptive sampling: {prompts: {allocation: adaptive}}}",
    "curriculum.samples_per_prompt=4",
    "evaluation.samples_per_prompt=4",
]


@dataclass(frozen=True)
class SmallRun:
    """Where it ran, and how the command ended."""

    root: Path
    out: Path
    process: subprocess.CompletedProcess[str]


def assay(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line, from the repository, as a person would type it."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "assay.cli", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=900)


@pytest.fixture(scope="package")
def small_run(tmp_path_factory: pytest.TempPathFactory) -> SmallRun:
    folder = tmp_path_factory.mktemp("small-run")
    root, out = folder / "artifacts", folder / "out"
    process = assay("run", "configs/ablations/quickstart.yaml", *SMALL, "--root", str(root), "--out", str(out))
    return SmallRun(root, out, process)
