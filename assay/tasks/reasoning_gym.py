"""Questions of the package reasoning-gym, generated here and judged by our own verifiers.

The package draws question i of a data set from seed + i: the data sets of seeds 42 and 43 share 999 of 1,000 questions.
Here every question has a seed of its own, and a question that was drawn before is skipped:

    seed of a question = sha256(seed / split / level / data set / index) mod 2^31        index = 0, 1, 2, …

It writes them in a process of its own (`gym_worker`), in an empty folder: always the same ones, and no file is left.
Its own scorers are not used: many give credit for an answer that merely occurs in the response. So a data set whose
questions have several right answers, and none to compare with, is refused; so is one that runs programs.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from pathlib import Path
from subprocess import PIPE, Popen
from tempfile import TemporaryDirectory
from typing import Any

from assay.contracts.errors import DataError, SpecError, StageError
from assay.contracts.records import Problem
from assay.contracts.task import ReasoningGymSource
from assay.tasks.ids import question_digest

MOST_TRIES = 20
"""Questions drawn for each one that is new, before a level is taken to have no more."""


_SEVERAL = "its questions have no one right answer, which a response could be compared with"
REFUSED = {
    "boxnet": _SEVERAL,
    "codeio": "it runs programs of others on this machine to write its questions",
    "composite": "it mixes other data sets; make a task of each, an ablation takes several",
    "graph_color": _SEVERAL,
    "propositional_logic": _SEVERAL,
    "rubiks_cube": _SEVERAL,
    "rush_hour": _SEVERAL,
}
"""Data set -> why no task can be made of it."""


def generate(source: ReasoningGymSource, task: str, split: str, count: int) -> list[Problem]:
    """`count` distinct problems of a split, spread evenly over the levels and interleaved.

    A longer list begins with the shorter one. A level with fewer questions than its share gives all it has.

    Raises:
        DataError: the package is not installed in the version that the source names.
        SpecError: there is no such data set, no task can be made of it, or it refuses its settings.
    """
    _require_version(source)
    if source.dataset in REFUSED:
        raise SpecError("source.dataset", f"no {source.dataset}: {REFUSED[source.dataset]}", "Use another data set")
    shares = [(count + len(source.levels) - 1 - i) // len(source.levels) for i in range(len(source.levels))]
    with _drawing(source.dataset) as draw:
        per_level = [
            _distinct(source, task, split, level, share, draw)
            for level, share in zip(source.levels, shares, strict=True)
        ]
    return [problem for row in zip_longest(*per_level) for problem in row if problem is not None]


def _require_version(source: ReasoningGymSource) -> None:
    try:
        found = version("reasoning-gym")
    except PackageNotFoundError as error:
        remedy = f"pip install reasoning-gym=={source.version}"
        raise DataError("source.kind", "`reasoning_gym` needs the package reasoning-gym", remedy) from error
    if found != source.version:
        problem = f"reasoning-gym {found} is installed, and the source names {source.version}"
        raise DataError("source.version", problem, "Install that version, or name this one: questions may differ")


Draw = Callable[[dict[str, Any], int], dict[str, Any]]
"""Settings and a seed -> what `gym_worker` replies."""


@contextmanager
def _drawing(dataset: str) -> Iterator[Draw]:
    """A process that writes questions as long as this is open."""
    command = [sys.executable, "-P", str(Path(__file__).with_name("gym_worker.py")), dataset]
    with TemporaryDirectory() as folder, Path(folder, "stderr").open("w+", encoding="utf-8") as complaints:
        environment = os.environ | {"PYTHONHASHSEED": "0"}
        with Popen(
            command, cwd=folder, env=environment, stdin=PIPE, stdout=PIPE, stderr=complaints, text=True
        ) as worker:

            def draw(settings: dict[str, Any], seed: int) -> dict[str, Any]:
                assert worker.stdin is not None
                assert worker.stdout is not None
                with suppress(BrokenPipeError):  # it ended; the empty reply below says why
                    print(json.dumps({"settings": settings, "seed": seed}), file=worker.stdin, flush=True)
                reply = worker.stdout.readline()
                if not reply:
                    complaints.seek(0)
                    raise StageError(f"reasoning-gym's {dataset} ended: {complaints.read()[-500:]}")
                return dict(json.loads(reply))

            yield draw


def _distinct(source: ReasoningGymSource, task: str, split: str, level: str, share: int, draw: Draw) -> list[Problem]:
    drawn: dict[str, Problem] = {}
    for index in range(share * MOST_TRIES):
        if len(drawn) == share:
            break
        problem = _problem(source, task, split, level, index, draw)
        drawn.setdefault(problem.question, problem)
    return list(drawn.values())


def _problem(source: ReasoningGymSource, task: str, split: str, level: str, index: int, draw: Draw) -> Problem:
    key = f"{source.seed}/{split}/{level}/{source.dataset}/{index}"
    seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") >> 1
    item = draw(source.levels[level], seed)
    if "known" in item:
        near = ", ".join(get_close_matches(source.dataset, item["known"], 5, 0.3) or item["known"])
        raise SpecError("source.dataset", f"reasoning-gym has no {source.dataset!r}", f"Use one of {near}")
    if "refused" in item:
        problem = f"{source.dataset} refuses {source.levels[level]}: {item['refused']}"
        raise SpecError(f"source.levels.{level}", problem, "Correct these settings of the data set")
    return Problem(f"{task}/{question_digest(item['question'])}", task, item["question"], item["answer"], level)
