"""What a training process died of, handed to whoever started it.

torchrun ends with exit code 1 whatever its workers died of. So a worker leaves its error in a small file:

    {"error": "InvariantError", "arguments": ["step 0: KL 0.3 between trainer and sampler"]}

In a pod of a TrainJob the file is /dev/termination-log, which Kubernetes keeps as the container's message.
"""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

from assay.contracts.errors import AssayError, InputError, Retryable, StageError
from assay.launch.memory import memory_report

LAST_WORDS = "ASSAY_LAST_WORDS"
"""Environment variable that names the file."""

TERMINATION_LOG = "/dev/termination-log"
_MOST_BYTES = 4096
"""What Kubernetes keeps of a termination message."""
_MOST_CHARACTERS = (1000, 300, 100)
"""Of each argument: the first that fits. JSON may need twelve bytes for a character."""


def leave(error: AssayError) -> None:
    """Write the error to the file, unless another process of this pod died before and is the cause."""
    file = os.environ.get(LAST_WORDS)
    if file and not _written(Path(file)):
        overrule(error)


def overrule(error: AssayError) -> None:
    """Write the error over whatever another process took for the cause."""
    file = os.environ.get(LAST_WORDS)
    if file:
        Path(file).write_text(_encoded(error), encoding="utf-8")


def _written(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def _encoded(error: AssayError) -> str:
    arguments = (error.where, error.problem, error.remedy) if isinstance(error, InputError) else (str(error),)
    name = type(error).__name__
    cut = (json.dumps({"error": name, "arguments": [text[:most] for text in arguments]}) for most in _MOST_CHARACTERS)
    return next(words for words in cut if len(words) < _MOST_BYTES)


def understand(text: str) -> AssayError | None:
    """The error that was left, or None: nothing was, or something else wrote there."""
    try:
        words = json.loads(text)
        return _class_of(words["error"])(*words["arguments"])
    except (ValueError, TypeError, KeyError):
        return None


def _class_of(name: str) -> type[AssayError]:
    """The class of the error tree with this name. Raises KeyError."""
    classes: list[type[AssayError]] = [AssayError]
    for found in classes:
        classes += found.__subclasses__()
    return {found.__name__: found for found in classes}[name]


def killed(by: int) -> AssayError:
    """The error of a process that a signal ended."""
    name = signal.Signals(by).name
    if by == signal.SIGKILL:
        return StageError(f"training was killed by {name}, probably out of memory. {memory_report()}")
    if by in (signal.SIGTERM, signal.SIGINT):
        return Retryable(f"training was ended by {name}: preempted, drained or cancelled. It resumes when run again")
    return StageError(f"training was ended by {name}: a crash in native code. Its output above is all there is")


def of_exit(code: int) -> AssayError:
    """The error of a process that left an exit code (negative: a signal) and no words."""
    if code < 0:
        return killed(-code)
    if code > 128 and code - 128 in set(signal.Signals):
        return killed(code - 128)
    if code == Retryable.exit_code:
        return Retryable("training asked to be run again")
    return StageError(f"training ended with exit code {code}. Its output above says why")
