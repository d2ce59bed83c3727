"""What every stage is handed and what it hands back; committing the manifest around it.

A stage that is committed already is not run: its manifest is the answer. A stage that was killed finds its own files in
`work.artifact` and continues.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from assay import __version__
from assay.contracts.ablation import ResolvedAblation
from assay.contracts.errors import AssayError, InvariantError, StageError
from assay.contracts.manifest import Finding, Manifest
from assay.contracts.stage import Runtime
from assay.plan.expand import Node, expand
from assay.plan.resolve import numeric_environment
from assay.stages.orphan import end_with_run
from assay.stages.progress import StageProgress
from assay.storage import open_store
from assay.storage.artifacts import SCRATCH, Artifact
from assay.storage.store import Store


@dataclass(frozen=True, slots=True)
class Work:
    """Where a stage reads, writes and reports."""

    store: Store
    artifact: Artifact
    runtime: Runtime
    progress: StageProgress

    def input(self, ref: str) -> Artifact:
        """The artifact of a `stage/key` reference."""
        stage, key = ref.split("/")
        return Artifact(self.store, stage, key)

    def manifest(self, ref: str) -> Manifest:
        """The manifest of an input. Raises InvariantError when it is not committed."""
        manifest = self.input(ref).manifest()
        if manifest is None:
            raise InvariantError(f"{ref} is not committed in {self.store.uri}. Run the stages it needs first")
        return manifest


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a stage measured, dropped and noticed."""

    metrics: dict[str, float] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """What the Kubeflow UI shows of a stage."""

    uri: str
    metrics: dict[str, float]
    markdown: str
    html: str


Main = Callable[[str, str, str, str, str], Shown]


def entry(run: Callable[[Any, Work], Outcome]) -> Main:
    """`main(ablation, node, key, root, runtime)` of a stage: JSON strings and a URI in, what to show out."""

    def main(ablation: str, node: str, key: str, root: str, runtime: str) -> Shown:
        end_with_run()
        progress = StageProgress(node)
        settings = Runtime.model_validate_json(runtime)
        with _told(progress):
            planned = _planned(ablation, node, key)
            artifact, manifest = run_node(run, planned, open_store(root), settings, progress)
        progress.end(f"{manifest.seconds:.1f} s")
        return _shown(artifact, manifest)

    return main


def _planned(ablation: str, name: str, key: str) -> Node:
    """The node of a name. Raises InvariantError when this Assay gives it another key than the one that compiled it."""
    node = expand(ResolvedAblation.model_validate_json(ablation)).node(name)
    if node.key != key:
        problem = f"{name}: compiled as {key}, this Assay ({__version__}) makes it {node.key}"
        raise InvariantError(f"{problem}. Compile and run with the same version")
    return node


@contextlib.contextmanager
def _told(progress: StageProgress) -> Iterator[None]:
    """Let whoever watches know what a stage died of."""
    try:
        yield
    except AssayError as error:
        progress.fail(str(error), error.exit_code)
        raise
    except BaseException as error:
        progress.fail(f"{type(error).__name__}: {error}", StageError.exit_code)
        raise


def run_node(
    run: Callable[[Any, Work], Outcome], node: Node, store: Store, runtime: Runtime, progress: StageProgress
) -> tuple[Artifact, Manifest]:
    """Run a stage unless it is committed, and commit it."""
    artifact = Artifact(store, node.spec.stage, node.key)
    committed = artifact.manifest()
    if committed is not None:
        _drop_scratch(artifact)
        return artifact, committed
    work = Work(store, artifact, runtime, progress)
    started_at, start = datetime.now(UTC).isoformat(timespec="seconds"), time.monotonic()
    outcome = run(node.spec, work)
    manifest = Manifest(
        stage=node.spec.stage,
        key=node.key,
        stage_version=node.spec.VERSION,
        spec=node.spec.model_dump(mode="json"),
        files=artifact.inventory(),
        metrics=outcome.metrics,
        dropped=outcome.dropped,
        findings=outcome.findings,
        seconds=time.monotonic() - start,
        started_at=started_at,
        environment=environment(),
        assay_version=__version__,
    )
    committed = artifact.commit(manifest)
    _drop_scratch(artifact)
    return artifact, committed


def _drop_scratch(artifact: Artifact) -> None:
    """Delete what only a resume needs; after the commit, so that a kill in between costs nothing."""
    for info in artifact.list(SCRATCH):
        artifact.store.delete(artifact.path(info.path))


def environment() -> dict[str, str]:
    """Versions and hardware, for the manifest."""
    cores = str(os.cpu_count())
    return {"python": platform.python_version(), "machine": platform.machine(), "cores": cores, **numeric_environment()}


def _shown(artifact: Artifact, manifest: Manifest) -> Shown:
    html = artifact.read_bytes("report.html").decode() if manifest.stage == "report" else ""
    return Shown(artifact.uri, manifest.metrics, stage_card(manifest), html)


def stage_card(manifest: Manifest) -> str:
    """The Markdown that the Kubeflow UI shows for a stage: what it found, measured and dropped."""
    lines = [f"### {manifest.stage} `{manifest.key}`", "", f"{manifest.seconds:.1f} s, {len(manifest.files)} files", ""]
    lines += [f"- **{finding.severity}** {finding.id}: {finding.message}" for finding in manifest.findings]
    lines += ["", "| metric | value |", "|---|---|"]
    lines += [f"| {name} | {value:.6g} |" for name, value in sorted(manifest.metrics.items())]
    lines += [f"| dropped: {name} | {count} |" for name, count in sorted(manifest.dropped.items())]
    return "\n".join(lines) + "\n"
