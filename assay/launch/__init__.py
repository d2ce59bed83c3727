"""How a training argv is started: as a child of this process (torchrun), or in pods of its own (a Kubeflow TrainJob).

The argv is one and the same, `-m MODULE ARGUMENTS…`; how many processes there are and where they meet comes from the
environment. Whatever the training died of is raised here as the error that it raised there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from assay.contracts.launch import Torchrun, TrainJob
from assay.launch.torchrun import run_torchrun

__all__ = ["launch"]

_RANKS = "assay.launch.ranks"


def launch(argv: Sequence[str], spec: Torchrun | TrainJob, node: str, key: str) -> None:
    """Start `-m MODULE ARGUMENTS…` in training processes, or go on waiting for those of this key; return at their end.

    `node` is the stage's name for people, `key` its content key. Call it from the main thread.
    """
    if isinstance(spec, Torchrun):
        run_torchrun([sys.executable, "-m", _RANKS, *argv], spec, node)
    else:
        from assay.launch.trainjob import run_trainjob

        run_trainjob(["python", "-m", _RANKS, *argv], spec, node, key)
