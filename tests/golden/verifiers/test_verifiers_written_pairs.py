"""Pairs written and labelled by hand: for every kind of answer its spellings and its near misses, judged both ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay.contracts.verifier import STRICT, SYMBOLIC, MathVerifier
from assay.verifiers import VerifierPool

FILE = Path(__file__).parent / "written_pairs.txt"


def pairs() -> dict[str, list[tuple[str, str, bool]]]:
    """Kind -> (gold, answer, whether they are equal)."""
    kinds: dict[str, list[tuple[str, str, bool]]] = {}
    for line in FILE.read_text().split("\n\n", 1)[1].splitlines():
        if line.startswith("# "):
            kind = kinds.setdefault(line[2:], [])
            continue
        gold, *others = line.split(" ## ")
        kind += [(gold, other[1:], {"=": True, "!": False}[other[0]]) for other in others]
    return kinds


PAIRS = pairs()


def accepted(verifier: MathVerifier, asked: list[tuple[str, str]]) -> list[bool]:
    with VerifierPool() as pool:
        verdicts = pool.score(verifier, [(f"\\boxed{{{answer}}}", gold) for answer, gold in asked])
    return [verdict.status == "correct" for verdict in verdicts]


@pytest.mark.parametrize("kind", PAIRS)
def test_symbolic_agrees_with_every_label_both_ways(kind: str) -> None:
    asked = [sides for gold, answer, _ in PAIRS[kind] for sides in ((answer, gold), (gold, answer))]
    labels = [label for *_, label in PAIRS[kind] for _ in range(2)]
    verdicts = accepted(SYMBOLIC, asked)
    assert [sides for sides, label, verdict in zip(asked, labels, verdicts, strict=True) if label != verdict] == []


def test_strict_accepts_nothing_that_differs() -> None:
    different = [(answer, gold) for kind in PAIRS.values() for gold, answer, label in kind if not label]
    verdicts = accepted(STRICT, different)
    assert [sides for sides, verdict in zip(different, verdicts, strict=True) if verdict] == []


def test_there_are_many_of_both_labels() -> None:
    labels = [label for kind in PAIRS.values() for *_, label in kind]
    assert min(labels.count(True), labels.count(False)) > 800
