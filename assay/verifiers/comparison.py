"""Whether two answers are the same, part by part. The policies, since graders disagree on them:

- ``1, 2`` and ``\\{1,2\\}`` are unordered and repetitions do not count; ``(1,2)``, ``[1,2]`` and vectors are
  ordered. If one side of an ordered comparison has no brackets at all, the order alone counts. Pairs must have the
  same brackets, for they may be intervals; three parts and more are tuples in any brackets.
- Equations, inequalities and intervals: see `relations`. Numbers, words, units, percent, decimals: see `formulas`.
- ``1,234`` is read as a number and as a list, and equality under either reading suffices.
- If the gold answer is a choice from A to J, then ``(E)``, ``E``, ``E.`` and ``(E) 12`` are the choice E.

A verdict is True or False where these rules decide, and None where only computer algebra could tell.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from assay.verifiers import exact, formulas, relations
from assay.verifiers.normalise import MAX_CHARS, TEXT_CLOSE, TEXT_OPEN, clean
from assay.verifiers.structure import Answer, Formula, Group, Matrix, Relation, Union, read
from assay.verifiers.ternary import Ternary, all_of, any_of

_MAX_PAIRINGS = 4_096
_INTEGER = re.compile(r"-?\d+")
_CHOICE = re.compile(r"[A-J]")
_STATED_CHOICE = re.compile(r"\(([A-J])\)|([A-J])[).:](?=\s|$|\D)")
_THOUSANDS = re.compile(r"(?<![\d.])(\d{1,3}(?:,\d{3})+)(?!\d)")


def equivalent(pred: str, gold: str) -> Ternary:
    """Whether two answers, as written, are the same; None when only computer algebra could tell."""
    if exact.equal(pred, gold):
        return True
    if _INTEGER.fullmatch(pred) and _INTEGER.fullmatch(gold):
        return False  # most wrong answers, for a fraction of the cost
    if not pred.strip() or not gold.strip() or max(len(pred), len(gold)) > MAX_CHARS:
        return False
    pred, gold = clean(pred), clean(gold)
    if _CHOICE.fullmatch(letter := exact.compact(gold)) and (stated := _stated_choice(pred)):
        return stated == letter
    readings = dict.fromkeys([(_without_thousands(pred), _without_thousands(gold)), (pred, gold)])
    return any_of(compare(read(p), read(g)) for p, g in readings)


def _stated_choice(pred: str) -> str | None:
    match = _STATED_CHOICE.match(pred.replace(TEXT_OPEN, "").replace(TEXT_CLOSE, "").strip())
    return match[1] or match[2] if match else None


def _without_thousands(text: str) -> str:
    """``1,234`` as 1234, also inside a formula."""
    return _THOUSANDS.sub(lambda match: match[1].replace(",", ""), text)


def compare(pred: Answer, gold: Answer) -> Ternary:
    """Whether two read answers are the same."""
    if pred == gold:
        return True
    if isinstance(pred, Relation) or isinstance(gold, Relation):
        return relations.compare(pred, gold, compare)
    if isinstance(pred, Matrix) and isinstance(gold, Matrix):
        return _compare_matrices(pred, gold)
    if isinstance(pred, Union) and isinstance(gold, Union):
        return _compare_unordered(pred.parts, gold.parts)
    if isinstance(pred, Group) and isinstance(gold, Group):
        return _compare_groups(pred, gold)
    if isinstance(pred, Formula) and isinstance(gold, Formula):
        return formulas.compare(pred.text, gold.text)
    single = _single(pred), _single(gold)
    return compare(*single) if single != (pred, gold) else False


def _single(answer: Answer) -> Answer:
    """A set or bracket of one part is that part."""
    return answer.parts[0] if isinstance(answer, Group) and len(answer.parts) == 1 else answer


def _compare_matrices(pred: Matrix, gold: Matrix) -> Ternary:
    if [len(row) for row in pred.rows] != [len(row) for row in gold.rows]:
        return False
    return all_of(
        compare(p, g)
        for pred_row, gold_row in zip(pred.rows, gold.rows, strict=True)
        for p, g in zip(pred_row, gold_row, strict=True)
    )


def _compare_groups(pred: Group, gold: Group) -> Ternary:
    if not pred.ordered and not gold.ordered:
        return _compare_unordered(pred.parts, gold.parts)
    if len(pred.parts) != len(gold.parts) or not _brackets_agree(pred, gold):
        return False
    return all_of(compare(p, g) for p, g in zip(pred.parts, gold.parts, strict=True))


def _brackets_agree(pred: Group, gold: Group) -> bool:
    """For two groups of which one at least is ordered."""
    if "" in (pred.opening, gold.opening):
        return True
    if not (pred.ordered and gold.ordered):
        return False
    same = (pred.opening, pred.closing) == (gold.opening, gold.closing)
    return same or len(pred.parts) != 2 or "⟨" in (pred.opening, gold.opening)


# Sets


def _compare_unordered(pred: Sequence[Answer], gold: Sequence[Answer]) -> Ternary:
    """Set equality: exact keys first, then pairings of the remainder that machine numbers do not rule out."""
    by_key_pred, by_key_gold = {_key(part): part for part in pred}, {_key(part): part for part in gold}
    if len(by_key_pred) != len(by_key_gold):
        return False
    rest_pred = [part for key, part in by_key_pred.items() if key not in by_key_gold]
    rest_gold = [part for key, part in by_key_gold.items() if key not in by_key_pred]
    if len(rest_gold) ** 2 > _MAX_PAIRINGS:
        return False
    return _pair_up(rest_pred, rest_gold)


def _pair_up(pred: Sequence[Answer], gold: list[Answer]) -> Ternary:
    unknown = False
    for part in pred:
        verdicts = [compare(part, other) if _may_match(part, other) else False for other in gold]
        if True in verdicts:
            gold.pop(verdicts.index(True))
        elif None in verdicts:
            unknown = True
        else:
            return False
    return None if unknown else True


def _key(answer: Answer) -> object:
    return exact.key(answer.text) if isinstance(answer, Formula) else answer


def _may_match(pred: Answer, gold: Answer) -> bool:
    if not (isinstance(pred, Formula) and isinstance(gold, Formula)):
        return True
    a, b = formulas.fingerprint(pred.text), formulas.fingerprint(gold.text)
    return a is None or b is None or abs(a - b) <= 1e-5 * max(abs(a), abs(b), 1.0)
