"""Questions of the package reasoning-gym, generated here and judged by our own verifiers.

The package draws question i of a data set from seed + i: the data sets of seeds 42 and 43 share 999 of 1,000 questions.
Here every question has a seed of its own, and a question that was drawn before is skipped:

    seed of a question = sha256(seed / split / level / data set / index) mod 2^31        index = 0, 1, 2, …

Its own scorers are not used: many give credit for an answer that merely occurs in the response. So a data set whose
questions have several right answers, and none to compare with, is refused; so is one that runs programs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from itertools import zip_longest
from typing import Any

from assay.contracts.errors import DataError, SpecError
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
    per_level = [
        _distinct(source, task, split, level, share) for level, share in zip(source.levels, shares, strict=True)
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


def _distinct(source: ReasoningGymSource, task: str, split: str, level: str, share: int) -> list[Problem]:
    drawn: dict[str, Problem] = {}
    for problem in _stream(source, task, split, level, share * MOST_TRIES):
        if len(drawn) == share:
            break
        drawn.setdefault(problem.question, problem)
    return list(drawn.values())


def _stream(source: ReasoningGymSource, task: str, split: str, level: str, most: int) -> Iterator[Problem]:
    for index in range(most):
        key = f"{source.seed}/{split}/{level}/{source.dataset}/{index}"
        seed = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "big") >> 1
        item = _item(source, level, seed)
        gold = "" if item["answer"] is None else str(item["answer"])
        yield Problem(f"{task}/{question_digest(item['question'])}", task, item["question"], gold, level)


def _item(source: ReasoningGymSource, level: str, seed: int) -> dict[str, Any]:
    known = _datasets()
    if source.dataset not in known:
        near = ", ".join(get_close_matches(source.dataset, known, 5, 0.3) or sorted(known))
        raise SpecError("source.dataset", f"reasoning-gym has no {source.dataset!r}", f"Use one of {near}")
    create = import_module("reasoning_gym").create_dataset
    try:
        return dict(create(source.dataset, seed=seed, size=1, **source.levels[level])[0])
    except (TypeError, AssertionError, ValueError) as error:
        problem = f"{source.dataset} refuses {source.levels[level]}: {error}"
        raise SpecError(f"source.levels.{level}", problem, "Correct these settings of the data set") from error


def _datasets() -> list[str]:
    """The names of all data sets; importing the package takes seconds."""
    return list(import_module("reasoning_gym.factory").DATASETS)
