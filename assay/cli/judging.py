"""Requests to verdicts: which verifier and which stop strings a request gets, and many of them judged at once."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from assay.cli.responses import Request, parts
from assay.contracts.base import Frozen
from assay.contracts.errors import InputError
from assay.contracts.problems import spec_error
from assay.contracts.records import Verdict
from assay.contracts.task import TaskSpec
from assay.contracts.verifier import KINDS, PRESETS, Verifier, VerifierField
from assay.tasks.loading import UniqueKeys, load_task
from assay.verifiers import VerifierPool
from assay.verifiers.registry import kind_of

TASKS_FOLDER = Path("configs/tasks")
OF_TASK = "task"
"""Stands for the verifier of each request's own task."""
_POSSIBILITIES = (
    f"Use {', '.join(PRESETS)}; {OF_TASK}, for each response its task's own; or a kind ({', '.join(KINDS)}), with its "
    "options if you like: choice:mode=legacy, or '{kind: choice, mode: legacy}'"
)
_SLICES = 4
"""Calls side by side that one call of the pool makes, each so often, before progress moves."""

Advance = Callable[[int], None]


def read_verifier(option: str, text: str) -> Verifier | None:
    """A preset, `kind:name=value,…` or YAML as the verifier it stands for; None for `task`.

    Raises:
        InputError: there is no such verifier; lists what there is.
    """
    if text == OF_TASK:
        return None
    written_out = text.lstrip().startswith("{")
    if not written_out and text.partition(":")[0] not in (*PRESETS, *KINDS):
        raise InputError(option, f"there is no verifier {text!r}", _POSSIBILITIES)
    try:
        return _Given.model_validate({"verifier": yaml.load(text, UniqueKeys) if written_out else text}).verifier
    except ValidationError as error:
        raise spec_error(f"{option} {text}", error) from error
    except yaml.YAMLError as error:
        raise InputError(option, f"{text!r} is not YAML ({error})", _POSSIBILITIES) from error


class _Given(Frozen):
    """A verifier as the command line gives it."""

    verifier: VerifierField


class Tasks:
    """The tasks of a folder by name; a file is read when its task is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[str, TaskSpec | None] = {}

    def get(self, name: str) -> TaskSpec | None:
        """The task of a name, or None."""
        if name not in self._read:
            self._read[name] = self._find(name)
        return self._read[name]

    def _find(self, name: str) -> TaskSpec | None:
        path = self._folder / f"{name}.yaml"
        task = load_task(path) if re.fullmatch(r"\w+", name) and path.is_file() else None
        return task if task and task.name == name else self._all.get(name)

    @cached_property
    def _all(self) -> dict[str, TaskSpec]:
        return {task.name: task for task in tasks_of(self._folder)}


def tasks_of(folder: Path) -> list[TaskSpec]:
    """All tasks of a folder, by file name."""
    return [load_task(path) for path in sorted(folder.glob("*.yaml"))]


def find_task(given: str, folder: Path, where: str = "TASK") -> TaskSpec:
    """The task that a file defines, or the one of that name in the folder. Raises InputError with what there is."""
    if given.endswith((".yaml", ".yml")):
        return load_task(Path(given))
    found = Tasks(folder).get(given)
    if found is None:
        names = ", ".join(task.name for task in tasks_of(folder))
        remedy = f"Give a task file, or one of {names}" if names else "Give a task file, or their folder with --tasks"
        raise InputError(where, f"{folder} has no task {given!r}", remedy)
    return found


class Terms(NamedTuple):
    """By whom a request is judged, and where its response ends."""

    verifier: Verifier
    stop: tuple[str, ...]


class Judge:
    """Judges requests, those of one task together.

    Attributes:
        verifier: judges all; None: each task's own does.
        only: the task that all requests are of, whatever they say themselves.
    """

    def __init__(self, verifier: Verifier | None, tasks: Tasks, only: TaskSpec | None, pool: VerifierPool) -> None:
        self.verifier, self.tasks, self.only, self.pool = verifier, tasks, only, pool

    @property
    def label(self) -> str:
        """How the summary names the verifier."""
        verifier = self.verifier or (self.only and self.only.verifier)
        return verifier.label if verifier else "its task's own verifier"

    def __call__(self, requests: Sequence[Request], advance: Advance = lambda _: None) -> list[Verdict]:
        """A verdict for each request, in order; `advance` is told how many are done."""
        verdicts: dict[int, Verdict] = {}
        for task, places in _by_task(requests).items():
            terms = self._terms(task)
            if terms is None:
                verdicts |= dict.fromkeys(places, _error(f"there is no task {task!r}, whose verifier should judge"))
                advance(len(places))
            else:
                found = self._judged([requests[place] for place in places], terms, advance)
                verdicts |= dict(zip(places, found, strict=True))
        return [_error(request.problem) if request.problem else verdicts[i] for i, request in enumerate(requests)]

    def _terms(self, name: str | None) -> Terms | None:
        task = self.only or (self.tasks.get(name) if name else None)
        verifier = self.verifier or (task and task.verifier)
        return Terms(verifier, task.stop if task else ()) if verifier else None

    def _judged(self, requests: Sequence[Request], terms: Terms, advance: Advance) -> list[Verdict]:
        parallel = kind_of(terms.verifier).PARALLEL
        verdicts: list[Verdict] = []
        for part in parts(requests, len(requests) if parallel == 1 else parallel * _SLICES):
            verdicts += self.pool.score(terms.verifier, [(one.response, one.gold) for one in part], terms.stop)
            advance(len(part))
        return verdicts


def _by_task(requests: Sequence[Request]) -> dict[str | None, list[int]]:
    places: dict[str | None, list[int]] = defaultdict(list)
    for place, request in enumerate(requests):
        if not request.problem:
            places[request.task].append(place)
    return places


def _error(detail: str) -> Verdict:
    return Verdict("error", 0.0, detail=detail)
