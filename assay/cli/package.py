"""A package for Kubeflow Pipelines: a pipeline file, an ablation and a cluster profile, compiled.

Containers see the store and nothing of this machine. So the resolved ablation, a local model directory and local data
files are put into the store first; the package names them there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from assay.cli.layout import LaidAblation, Layout
from assay.cli.options import load_plan
from assay.cli.pipeline import build_pipeline, load_builder
from assay.cli.pods import KubernetesPods
from assay.contracts.errors import SpecError
from assay.contracts.nightly import NightlySpec
from assay.contracts.profile import ClusterSpec, Profile, Role
from assay.plan.expand import Plan, expand
from assay.plan.inputs import put_ablation, share_inputs
from assay.plan.load import read_mapping
from assay.plan.load_nightly import load_nightly
from assay.plan.resolve import locked_environment
from assay.storage import Store, open_store

IMAGE_LOCK = Path("images/cpu/requirements.lock")
"""Pins the packages that decide numbers; those of the other images pin the same (a test compares them)."""


@dataclass(frozen=True, slots=True)
class Package:
    """A compiled package and what it is called."""

    path: Path
    pipeline_name: str
    ablation_name: str
    root: str


def build_package(
    pipeline: Path, config: Path, overrides: Sequence[str], profile: Profile, root: str, output: Path
) -> Package:
    """Check everything, share the inputs, compile. `config` is an ablation or a nightly file; `root` comes before the
    profile's.

    Raises SpecError for a profile without a cluster, a root that containers could not see, or a role without an image.
    """
    load_builder(pipeline)
    cluster = _cluster(profile)
    store = open_store(_shared_root(root or profile.root))
    target = KubernetesPods(cluster, _images(cluster, pipeline))
    runtime = profile.runtime.model_copy(update={"launch": target.launch()}).model_dump_json()
    nightly, files = _ablation_files(config)
    lock = pipeline.resolve().parent.parent / IMAGE_LOCK
    laid = tuple(_laid(load_plan(file, list(overrides)), store, lock) for file in files)
    name = compile_layout(pipeline, Layout(laid, store.uri, runtime, target, nightly), output)
    return Package(output, name, nightly.name if nightly else laid[0].name, store.uri)


def _ablation_files(config: Path) -> tuple[NightlySpec | None, list[Path]]:
    """The ablation files that a nightly file lists, with the nightly; or the file itself."""
    if "ablations" not in read_mapping(config, "configs/ablations/quickstart.yaml"):
        return None, [config]
    nightly = load_nightly(config)
    return nightly, [Path(file) for file in nightly.ablations]


def _cluster(profile: Profile) -> ClusterSpec:
    if profile.cluster is None:
        remedy = "Name one of a cluster, for instance --profile configs/clusters/kubeflow.yaml"
        raise SpecError("profile", "it describes one machine: it has no `cluster`", remedy)
    return profile.cluster


def _shared_root(root: str) -> str:
    if not root.startswith("s3://"):
        remedy = "Use s3://bucket/prefix, in --root or in the profile"
        raise SpecError("root", f"containers of a cluster do not see {root or 'runs/artifacts'!r}", remedy)
    return root


def _laid(plan: Plan, store: Store, lock: Path) -> LaidAblation:
    """Keys are made of what the images hold, wherever the package is compiled; without their lock, of what is here."""
    resolved = share_inputs(plan.resolved, store)
    if lock.is_file():
        resolved = resolved.model_copy(update={"environment": locked_environment(lock)})
    return LaidAblation(resolved.spec.name, put_ablation(resolved, store), expand(resolved).nodes)


def _images(cluster: ClusterSpec, pipeline: Path) -> dict[Role, str]:
    """The profile's images; those it leaves out from images.lock beside the pipelines folder."""
    from assay.cli.images import load_images_lock

    lock = pipeline.resolve().parent.parent / "images.lock"
    return (load_images_lock(lock) if lock.is_file() else {}) | cluster.images


def compile_layout(pipeline: Path, layout: Layout, output: Path) -> str:
    """Write the package; returns the pipeline's name."""
    from kfp import compiler

    built: Any = build_pipeline(pipeline, layout)
    output.parent.mkdir(parents=True, exist_ok=True)
    compiler.Compiler().compile(built, str(output))
    name: str = built.pipeline_spec.pipeline_info.name
    return name
