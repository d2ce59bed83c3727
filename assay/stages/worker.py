"""A stage in training processes of its own: who writes their argv, and who reads it.

    -m assay.stages.worker stage=train "node=train plain/seed0" key=3f… ablation=ablations/9c….json root=URI runtime={…}

The step waits, the worker runs the stage and commits it; what the worker dies of is raised in the step. Of several
workers the first does that, and the others run the stage beside it.
Words, not options: torchrun stops at options behind the module's name that look like the beginning of its own.
"""

from __future__ import annotations

import dataclasses
import importlib
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from assay.contracts.errors import AssayError, StageError
from assay.contracts.launch import Torchrun, TrainJob
from assay.contracts.manifest import Manifest
from assay.contracts.scale import Rank
from assay.contracts.stage import Runtime
from assay.launch import launch
from assay.launch.last_words import leave
from assay.launch.parent import end_with_parent
from assay.stages.step import Step
from assay.storage.artifacts import Artifact


def run_apart(step: Step, artifact: Artifact, spec: Torchrun | TrainJob) -> Manifest:
    """Have training processes run the stage of `artifact` unless it is committed. Returns its manifest."""
    committed = artifact.manifest()
    if committed is not None:
        return committed
    launch(worker_argv(step, artifact.stage), spec, step.node, step.key)
    committed = artifact.manifest()
    if committed is None:
        raise StageError(f"{step.node}: its processes ended well, yet {artifact.uri} is not committed. Run it again")
    return committed


def worker_argv(step: Step, stage: str) -> list[str]:
    """What `main` below reads, as `-m MODULE ARGUMENTS…`."""
    runtime = Runtime.model_validate_json(step.runtime).model_dump_json(exclude={"launch"}, exclude_defaults=True)
    step = dataclasses.replace(step, runtime=runtime)
    words = {"stage": stage} | {name: value for name, value in dataclasses.asdict(step).items() if value}
    return ["-m", __name__, *(f"{name}={value}" for name, value in words.items())]


def main(arguments: Sequence[str]) -> None:
    """Run the stage that the argv names, in this process; the first of several writes and commits."""
    end_with_parent(signal.SIGKILL)
    with _last_words():
        named = dict(word.split("=", 1) for word in arguments)
        stage = importlib.import_module(f"assay.stages.{named.pop('stage')}")
        if Rank.from_environment().leads:
            stage.main(**named)
        else:
            stage.beside(**named)


@contextmanager
def _last_words() -> Iterator[None]:
    """Leave what the block dies of to whoever started this process."""
    try:
        yield
    except SystemExit as end:  # a stage's main has printed the message already
        if isinstance(end.__cause__, AssayError):
            leave(end.__cause__)
        raise
    except AssayError as error:
        leave(error)
        print(f"error: {error}", file=sys.stderr, flush=True)
        raise SystemExit(error.exit_code) from error
    except Exception as error:
        leave(StageError(f"{type(error).__name__}: {error}"))
        raise


if __name__ == "__main__":
    main(sys.argv[1:])
