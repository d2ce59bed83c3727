"""torchrun that says what its workers died of: the exit code of the first that failed, and last words if it left none.

    python -m assay.launch.ranks -m MODULE ARGUMENTS…

How many processes and where they meet is in PET_* variables, torchrun's own: a Kubeflow TrainJob sets them in its pods,
`assay.launch.torchrun` on one machine. So the argv is the same everywhere.
"""

from __future__ import annotations

import signal
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from assay.launch.last_words import killed, leave, of_exit, overrule
from assay.launch.parent import end_with_parent

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError


def main(arguments: Sequence[str]) -> int:
    """Run torchrun; returns the exit code to leave with."""
    end_with_parent(signal.SIGTERM)
    signal.signal(signal.SIGTERM, _too_early)  # torchrun has its own handler once it is up
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    try:
        run.main(arguments)
    except SignalException as error:
        return _ended(-error.sigval)
    except ChildFailedError as error:
        return _failed(error)
    return 0


def _failed(error: ChildFailedError) -> int:
    """A process that SIGKILL ended is the cause, whatever the others say that lost it; else the first that failed."""
    if any(failure.exitcode == -signal.SIGKILL for failure in error.failures.values()):
        overrule(killed(signal.SIGKILL))
        return _ended(-signal.SIGKILL)
    _, failure = error.get_first_failure()
    return _ended(failure.exitcode)


def _ended(code: int) -> int:
    """Leave words unless the worker did. Returns the exit code of the error's class; a worker's own stays as it is."""
    error = of_exit(code)
    leave(error)
    return code if code > 0 else error.exit_code


def _too_early(number: int, _: FrameType | None) -> NoReturn:
    error = killed(number)
    leave(error)
    raise SystemExit(error.exit_code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
