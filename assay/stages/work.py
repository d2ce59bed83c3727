"""What every stage is handed and what it hands back; committing the manifest around it.

A stage that is committed already is not run: its manifest is the answer. A stage that was killed finds its own files in
`work.artifact` and continues.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NoReturn

from assay import __version__
from assay.contracts.errors import AssayError, InvariantError, StageError
from assay.contracts.launch import Inline
from assay.contracts.manifest import Finding, Manifest
from assay.contracts.stage import Runtime
from assay.plan.expand import Node, expand
from assay.plan.inputs import read_ablation
from assay.plan.resolve import check_environment, numeric_environment
from assay.stages.attempts import begin, remember
from assay.stages.orphan import end_with_run
from assay.stages.part import Part, read_part
from assay.stages.progress import SilentProgress, StageProgress
from assay.stages.push import pushed
from assay.stages.step import Step
from assay.stages.worker import run_apart
from assay.storage import open_store
from assay.storage.artifacts import SCRATCH, Artifact, artifact_at
from assay.storage.readonly import ReadOnlyStore
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
        return artifact_at(self.store, ref)

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
    environment: dict[str, str] = field(default_factory=dict)
    """What else it ran with, for instance which sampler."""


@dataclass(frozen=True, slots=True)
class Shown:
    """What the Kubeflow UI shows of a stage."""

    uri: str
    metrics: dict[str, float]
    markdown: str
    html: str


Run = Callable[[Any, Work], Outcome]
Share = Callable[[Any, Work, Part], None]


def entry(run: Run, share: Share | None = None) -> Callable[..., Shown]:
    """`main(ablation, node, key, root, runtime)` of a stage, see `Step`; with `share`, also `part`.

    Leaves with the exit code of the error's class when Assay itself refuses or fails.
    """

    def main(*arguments: str, **named: str) -> Shown:
        step = Step(*arguments, **named)
        end_with_run()
        progress = StageProgress(f"{step.node} part {step.part}" if step.part else step.node)
        try:
            return pushed(step.ablation, step.root, progress.node, lambda: _run_step(run, share, step, progress))
        except AssayError as error:
            progress.fail(str(error), error.exit_code)
            leave(error)
        except BaseException as error:
            progress.fail(f"{type(error).__name__}: {error}", StageError.exit_code)
            raise

    return main


def entry_beside(run: Run) -> Callable[..., None]:
    """`beside(ablation, node, key, root, runtime)`: the stage in a process that is not the first. It reads what the
    first reads and writes nothing."""

    def beside(**named: str) -> None:
        step = Step(**named)
        store = ReadOnlyStore(open_store(step.root))
        node = _planned(step, store)
        runtime = Runtime.model_validate_json(step.runtime)
        run(node.spec, Work(store, artifact_at(store, node.ref), runtime, SilentProgress(node.name)))

    return beside


def _run_step(run: Run, share: Share | None, step: Step, progress: StageProgress) -> Shown:
    store, runtime = open_store(step.root), Runtime.model_validate_json(step.runtime)
    node = _planned(step, store)
    work = Work(store, artifact_at(store, node.ref), runtime, progress)
    begin(work.artifact)
    try:
        if share is not None and step.part:
            return _run_share(share, node, work, step.part)
        manifest = _manifest(run, step, node, work)
    except AssayError as error:
        remember(work.artifact, error)
        raise
    progress.end(f"{manifest.seconds:.1f} s")
    return _shown(work.artifact, manifest)


def _manifest(run: Run, step: Step, node: Node, work: Work) -> Manifest:
    """Run the stage here, or have training processes run it that the profile asks for."""
    if node.spec.stage == "train" and not isinstance(work.runtime.launch, Inline):
        return run_apart(step, work.artifact, work.runtime.launch)
    _, manifest = run_node(run, node, work.store, work.runtime, work.progress)
    return manifest


def _run_share(share: Share, node: Node, work: Work, part: str) -> Shown:
    """A share is never committed: the stage itself does that when it finds all the files."""
    if work.artifact.manifest() is None:
        share(node.spec, work, read_part(part))
    work.progress.end("shared")
    return Shown(work.artifact.uri, {}, f"### {node.name}, part {part}\n", "")


def leave(error: AssayError) -> NoReturn:
    """The message alone, and the exit code that tells what kind it is; with ASSAY_DEBUG=1 the traceback."""
    if os.environ.get("ASSAY_DEBUG"):
        raise error
    print(f"error: {error}", file=sys.stderr, flush=True)
    raise SystemExit(error.exit_code) from error


def _planned(step: Step, store: Store) -> Node:
    """The node of a name. Raises InvariantError when this Assay gives it another key than the one that compiled it."""
    name, key = step.node, step.key
    resolved = read_ablation(step.ablation, store)
    check_environment(resolved.environment)
    node = expand(resolved).node(name)
    if node.key != key:
        problem = f"{name}: compiled as {key}, this Assay ({__version__}) makes it {node.key}"
        raise InvariantError(f"{problem}. Compile and run with the same version")
    return node


def run_node(
    run: Callable[[Any, Work], Outcome], node: Node, store: Store, runtime: Runtime, progress: StageProgress
) -> tuple[Artifact, Manifest]:
    """Run a stage unless it is committed, and commit it."""
    artifact = artifact_at(store, node.ref)
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
        environment=environment() | outcome.environment,
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
