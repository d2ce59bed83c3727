"""The error tree.

    AssayError                 exit 1   anything Assay raises on purpose
    ├── InputError             exit 2   what the user gave cannot work; nothing was started
    │   ├── SpecError                   a field of a YAML file or an override
    │   ├── DataError                   a data file, a problem, an id
    │   └── ModelError                  a model directory, tokenizer or chat template
    ├── PreflightError         exit 3   a check before training failed; its findings say which
    ├── InvariantError         exit 4   something that must hold did not (step-0 checks, reloaded weights differ)
    ├── StageError             exit 5   a stage failed while running
    ├── StorageError           exit 6   an object store said no
    │   ├── ObjectMissing               the object asked for is not there
    │   ├── ObjectExists                a conditional create lost the race
    │   └── ObjectCorrupt               bytes differ from the digest in the manifest
    └── Retryable              exit 75  worth running again (preempted, throttled); EX_TEMPFAIL of sysexits.h

A message names the field or file, the value found there, and what to do about it.
"""

from __future__ import annotations


class AssayError(Exception):
    """Anything Assay raises on purpose."""

    exit_code = 1


class InputError(AssayError):
    """What the user gave cannot work. `where` is a field path or a file, `remedy` is an instruction."""

    exit_code = 2

    def __init__(self, where: str, problem: str, remedy: str) -> None:
        super().__init__(f"{where}: {problem}. {remedy}")
        self.where = where
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, str]]:
        return type(self), (self.where, self.problem, self.remedy)


class SpecError(InputError):
    """A field of a YAML file or a `key=value` override."""


class DataError(InputError):
    """A data file, a problem in it, or an id."""


class ModelError(InputError):
    """A model directory, its tokenizer or its chat template."""


class PreflightError(AssayError):
    """A check before training failed; the message lists the findings."""

    exit_code = 3


class InvariantError(AssayError):
    """Something that must hold did not."""

    exit_code = 4


class StageError(AssayError):
    """A stage failed while running."""

    exit_code = 5


class StorageError(AssayError):
    """An object store said no."""

    exit_code = 6


class ObjectMissing(StorageError):
    """The object asked for is not there."""


class ObjectExists(StorageError):
    """A conditional create lost the race: somebody committed first."""


class ObjectCorrupt(StorageError):
    """Bytes differ from the digest in the manifest."""


class Retryable(AssayError):
    """Worth running again as it is: preempted, throttled, connection reset."""

    exit_code = 75
