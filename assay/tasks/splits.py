"""Train, validation and held-out problems that share no id and no question (up to case and white space).

    held-out    from its own file or stream, else cut from train
    validation  cut from train
    train       what is left

A question that the held-out data and the training data share is dropped from training, never from held-out. Each split
holds the levels in the proportions of the data it is taken from. Within a level, problems are taken by the hash of
(seed, split, id): the order of the file does not matter, and data that grows changes a choice only where a new problem
ranks among the chosen. Held-out is taken first: how many problems the other splits take never changes it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from assay.contracts.ablation import TaskUse
from assay.contracts.errors import DataError
from assay.contracts.records import Problem
from assay.contracts.seeds import derive
from assay.contracts.task import ArithmeticSource
from assay.tasks.ids import require_unique
from assay.tasks.sources import load_problems, normalised_question


@dataclass(frozen=True, slots=True)
class Splits:
    """The problems of a task, split. `dropped` counts what was left out for a reason other than not being needed."""

    train: list[Problem]
    validation: list[Problem]
    heldout: list[Problem]
    dropped: dict[str, int]
    """`duplicate_heldout`, `duplicate_train`: the question came before; `train` counts questions that are held out too.
    `no_gold_heldout`, `no_gold_train`: the data gives no answer."""

    def items(self) -> list[tuple[str, list[Problem]]]:
        """(name, problems) of each split."""
        return [("train", self.train), ("validation", self.validation), ("heldout", self.heldout)]


def split_problems(use: TaskUse, seed: int) -> Splits:
    """As many problems for each split as `use` asks for; the same for the same data, `use` and `seed`.

    Raises:
        DataError: the source holds too few problems, and how many there are; or two questions carry one id.
    """
    own, train_pool, dropped = _pools(use)
    require_unique((problem.id for problem in [*train_pool, *(own or [])]), f"task {use.task.name}")
    heldout = _take(use, "heldout", use.heldout, train_pool if own is None else own, seed)
    train_pool = _without(train_pool, heldout)
    validation = _take(use, "validation", use.validation, train_pool, seed)
    train = _take(use, "train", use.train, _without(train_pool, validation), seed)
    return Splits(train, validation, heldout, dropped)


def _pools(use: TaskUse) -> tuple[list[Problem] | None, list[Problem], dict[str, int]]:
    """Held-out problems (None: the source has none of its own) and training problems without repetitions; the dropped.

    A generated stream is read far enough for training to be full once held-out questions are taken out of it.
    """
    source, name = use.task.source, use.task.name
    pool, dropped = load_problems(source, name, "train", use.train + use.validation + use.heldout)
    if not isinstance(source, ArithmeticSource) and source.heldout is None:
        train, repeated = _deduplicated(pool, "train", set())
        return None, train, dropped | repeated
    heldout_pool, lost = load_problems(source, name, "heldout", use.heldout)
    heldout, repeated = _deduplicated(heldout_pool, "heldout", set())
    train, shared = _deduplicated(pool, "train", {normalised_question(p.question) for p in heldout})
    return heldout, train, dropped | lost | repeated | shared


def _deduplicated(pool: list[Problem], split: str, kept_back: set[str]) -> tuple[list[Problem], dict[str, int]]:
    """The pool without questions that are in `kept_back` or came before, and how many went."""
    first_of: dict[str, Problem] = {}
    for problem in pool:
        first_of.setdefault(normalised_question(problem.question), problem)
    kept = [problem for question, problem in first_of.items() if question not in kept_back]
    lost = len(pool) - len(kept)
    return kept, {f"duplicate_{split}": lost} if lost else {}


def _take(use: TaskUse, split: str, count: int, pool: list[Problem], seed: int) -> list[Problem]:
    if len(pool) < count:
        problem = f"{split} asks for {count} problems, and there are {len(pool)} to take from"
        remedy = f"Ask for {len(pool)} at most, take fewer for the other splits, or give the source more problems"
        raise DataError(f"task {use.task.name}", problem, remedy)
    return stratified(pool, count, seed, split)


def _without(pool: list[Problem], taken: list[Problem]) -> list[Problem]:
    gone = {problem.id for problem in taken}
    return [problem for problem in pool if problem.id not in gone]


def stratified(problems: list[Problem], count: int, seed: int, salt: str) -> list[Problem]:
    """`count` problems, each level represented as in `problems` to within one, in hash order; needs count <= len."""
    by_level: dict[str, list[Problem]] = defaultdict(list)
    for problem in problems:
        by_level[problem.level].append(problem)
    quotas = _quotas({level: len(members) for level, members in by_level.items()}, count)

    def rank(problem: Problem) -> int:
        return derive(seed, salt, problem.id)

    chosen = [p for level, members in by_level.items() for p in sorted(members, key=rank)[: quotas[level]]]
    return sorted(chosen, key=rank)


def _quotas(sizes: dict[str, int], count: int) -> dict[str, int]:
    """Largest-remainder shares of `count`: proportional, whole, summing to `count`. Ties go by the level's name."""
    total = sum(sizes.values())
    shares = {level: divmod(count * size, total) for level, size in sizes.items()}
    short = count - sum(whole for whole, _ in shares.values())
    by_remainder = sorted(shares, key=lambda level: (-shares[level][1], level))
    return {level: shares[level][0] + (level in by_remainder[:short]) for level in sizes}
