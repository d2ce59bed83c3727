"""Containers of the images that `make images` built, run as a pod runs them: fixed uid, read-only root, /tmp in memory.

Skipped where no docker daemon answers, and where images.lock has no image of the role or one made from other files.
"""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
LOCK = ROOT / "images.lock"
Run = Callable[..., subprocess.CompletedProcess[str]]
AS_A_POD = (
    "--rm",
    "--read-only",
    "--tmpfs=/tmp",
    "--network=none",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
)


def absent(what: str) -> NoReturn:
    """Skips in a run of all tests. Whoever asks for these alone, with `make test-images`, gets a failure."""
    if os.environ.get("ASSAY_TEST_IMAGES"):
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="session")
def docker() -> str:
    """The docker client, with a daemon behind it."""
    found = shutil.which("docker")
    if found is None or subprocess.run([found, "info"], capture_output=True).returncode:
        absent("no docker daemon answers (DOCKER_HOST names another)")
    return found


@pytest.fixture(scope="session")
def built() -> dict[str, dict[str, Any]]:
    """images.lock as it is."""
    if not LOCK.is_file():
        absent("no images.lock: make images")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(LOCK.read_text("utf-8"))
    return entries


@pytest.fixture(scope="session", params=("cpu", "train", "infer"))
def role(request: pytest.FixtureRequest, built: dict[str, dict[str, Any]]) -> str:
    if request.param not in built:
        absent(f"images.lock has no {request.param} image: make images")
    return str(request.param)


@pytest.fixture(scope="session")
def image(docker: str, built: dict[str, dict[str, Any]], role: str) -> str:
    """The id of the role's image: it means the same until the image is removed."""
    entry = built[role]
    if subprocess.run([docker, "image", "inspect", entry["id"]], capture_output=True).returncode:
        absent(f"{entry['image']} was built, but is not in this daemon: make images")
    variant = runpy.run_path(str(ROOT / "scripts" / "images.py"))["Variant"]
    if not entry["image"].endswith(f":{variant(role, '.cpu.' in entry['lock'], entry['base']).tag}"):
        absent(f"{entry['image']} was made from other files than these: make images")
    return str(entry["id"])


@pytest.fixture(scope="session")
def run(docker: str, image: str) -> Run:
    """`run(command…, flags=…)` in a fresh container."""

    def start(*command: str, flags: tuple[str, ...] = (), check: bool = True) -> subprocess.CompletedProcess[str]:
        line = [docker, "run", *AS_A_POD, *flags, image, *command]
        done = subprocess.run(line, capture_output=True, text=True, timeout=900)
        if check:
            assert done.returncode == 0, done.stdout + done.stderr
        return done

    return start


@pytest.fixture(scope="session")
def configuration(docker: str, image: str) -> dict[str, Any]:
    """The image's own settings and history."""
    done = subprocess.run([docker, "image", "inspect", image], capture_output=True, text=True, check=True)
    (found,) = json.loads(done.stdout)
    return dict(found)
