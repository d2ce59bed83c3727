"""Whether two answers are the same, part by part. Where graders disagree the verifier's options decide
(`MathVerifier`); besides:

- ``1, 2`` and ``\\{1,2\\}`` are unordered and repetitions do not count; ``(1,2)``, ``[1,2]`` and vectors are
  ordered. If one side of an ordered comparison has no brackets at all, the order alone counts. Pairs must have the
  same brackets, for they may be intervals; three parts and more are tuples in any brackets. A matrix of one row or
  column is a tuple.
- Equations and inequalities: see `relations`. Unions and the like: see `reals`. What has no parts: see `formulas`.
- ``1,234`` is read as a number and, without brackets, as a list; equality under either reading suffices.
- If the gold answer is a choice from A to J, then ``(E)``, ``E``, ``E.`` and ``(E) 12`` are the choice E.

A verdict is True or False where these rules decide, and None where only computer algebra could tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TypeGuard

from assay.contracts.verifier import SYMBOLIC, MathVerifier
from assay.verifiers import exact, formulas, machine, reals, relations
from assay.verifiers.normalise import MAX_CHARS, TEXT_CLOSE, TEXT_OPEN, clean
from assay.verifiers.structure import Answer, Combination, Formula, Group, Matrix, Relation, read
from assay.verifiers.ternary import Ternary, all_of, any_of

_MAX_PAIRINGS = 4_096
_CHOICE, _CHOICE_CHARS = re.compile(r"[A-J]"), 16
_STATED_CHOICE = re.compile(r"\(([A-J])\)|([A-J])[).:](?=\s|$|\D)")
_MORE_CHOICES = re.compile(r"\([A-J]\)|(?:,|\band|\bor) ?[A-J]\b")
_REALS, _EMPTY = Formula("ℝ"), Formula("∅")
_DOLLARS, _CENTS = re.compile(r"\s*-?\s*\\\$\s*[\d.]"), re.compile(r"\d[^\d]{0,12}\bcents?\b")
_QUALIFIER = re.compile(
    rf"[,;(\s]\s*{TEXT_OPEN}?\s*(?:(?:where|for|with|any|all|an|a|integers?|\s)*{TEXT_CLOSE}?\s*)([A-Za-z])\s*{TEXT_OPEN}?\s*"
    rf"(?:∈\s*[ℤℕ]|is\s+an(?:y)?\s+integer|is\s+any\s+integer)\s*{TEXT_CLOSE}?\)?\s*$"
)
_QUALIFIER_CHARS = 80
_THOUSANDS, _ZERO_GROUP = re.compile(r"(?<![\d.])(\d{1,3}(?:,\d{3})+)(?!\d)"), re.compile(r"\d,0\d\d(?!\d)")
_CLOSE = 0.01
_TOKEN = re.compile(rf"\d+(?:[.,]\d+)*|[a-z]+|[^\w\s,{TEXT_OPEN}{TEXT_CLOSE}]")


def equivalent(pred: str, gold: str, rules: MathVerifier = SYMBOLIC) -> Ternary:
    """Whether two answers, as written, are the same; None when only computer algebra could tell."""
    if pred == gold:
        return bool(gold.strip())
    if not pred.strip() or not gold.strip():
        return False
    key_pred, key_gold = exact.key(pred), exact.key(gold)
    if key_pred == key_gold:
        return True
    if key_pred[0] == key_gold[0] == "n" and "." not in pred and "." not in gold:
        return False  # most wrong answers, for a fraction of the cost
    if max(len(pred), len(gold)) > MAX_CHARS:
        return False
    if rules.units != "ignored" and {_currency(pred), _currency(gold)} == {"dollar", "cent"}:
        return False
    pred, gold = _unqualified(clean(pred), clean(gold))
    if "and" in pred + gold and _tokens(pred) == _tokens(gold):
        return True
    if (chosen := _chosen(pred, gold)) is not None:
        return chosen
    with machine.limited_work():
        return any_of(compare(read(p), read(g), rules) for p, g in _readings(pred, gold))


def _currency(text: str) -> str:
    """A sign of money vanishes when an answer is cleaned."""
    if "$" not in text and "cent" not in text:
        return ""
    return "dollar" if _DOLLARS.match(text) else "cent" if _CENTS.search(text) else ""


def _unqualified(pred: str, gold: str) -> tuple[str, str]:
    """Without "…, where k is an integer"; the k of one side is taken for the n of the other."""
    if not ("∈" in pred + gold or "integer" in pred + gold):
        return pred, gold
    match_pred, match_gold = (_QUALIFIER.search(text, max(0, len(text) - _QUALIFIER_CHARS)) for text in (pred, gold))
    body_pred = pred[: match_pred.start()] if match_pred else pred
    body_gold = gold[: match_gold.start()] if match_gold else gold
    if match_pred and match_gold and match_pred[1] != match_gold[1]:
        body_pred = re.sub(rf"(?<![A-Za-z\\]){match_pred[1]}(?![A-Za-z])", match_gold[1], body_pred)
    return body_pred.rstrip(" ,;("), body_gold.rstrip(" ,;(")


def _tokens(text: str) -> list[str]:
    """The numbers, words and signs of ``3 hours and 20 minutes``; "and" and commas are none."""
    return [token for token in _TOKEN.findall(text.casefold()) if token != "and"]


def _chosen(pred: str, gold: str) -> bool | None:
    """Where one side is the letter of a choice: whether the other states it, alone or with its content."""
    letters = tuple(map(_letter, (pred, gold)))
    if letters == ("", ""):
        return None
    choices = [letter or _stated_choice(text) for letter, text in zip(letters, (pred, gold), strict=True)]
    return choices[0] == choices[1] if all(choices) else None


def _letter(text: str) -> str:
    letter = exact.compact(text) if len(text) <= _CHOICE_CHARS else ""
    return letter if _CHOICE.fullmatch(letter) else ""


def _stated_choice(text: str) -> str:
    bare = text.replace(TEXT_OPEN, "").replace(TEXT_CLOSE, "").strip()
    match = _STATED_CHOICE.match(bare)
    return match[1] or match[2] if match and not _MORE_CHOICES.search(bare, match.end()) else ""


def _readings(pred: str, gold: str) -> Iterator[tuple[str, str]]:
    """Commas as thousands marks, then as separators (never before 000); either side of ``2/3 ≈ 0.67``."""
    for p in _estimates(pred):
        for g in _estimates(gold):
            plain = _without_thousands(p), _without_thousands(g)
            yield plain
            if plain != (p, g) and not _ZERO_GROUP.search(p) and not _ZERO_GROUP.search(g):
                yield p, g


def _estimates(text: str) -> tuple[str, ...]:
    """``a = 2/3 ≈ 0.67`` as ``a = 2/3`` and, if it is close, as 0.67; ``x ≈ 0.67`` as an equation."""
    if "≈" not in text:
        return (text,)
    stated, _, estimate = text.partition("≈")
    value, estimated = formulas.constant(stated.rpartition("=")[2]), formulas.constant(estimate)
    if value is None:
        return (text.replace("≈", "="),)
    close = estimated is not None and abs(value - estimated) <= _CLOSE * abs(value)
    return (stated, estimate) if close else (stated,)


def _without_thousands(text: str) -> str:
    """``1,234`` as 1234, also inside a formula; ``(20,100)`` is a pair and [20,100] an interval."""
    if text[:1] in ("(", "[", "⦃") or "∈" in text or "∪" in text:
        return text
    return _THOUSANDS.sub(lambda match: match[1].replace(",", ""), text) if "," in text else text


def compare(pred: Answer, gold: Answer, rules: MathVerifier) -> Ternary:
    """Whether two read answers are the same."""
    if pred == gold:
        return True
    if (_is_set(pred) or _is_set(gold)) and not (_is_equation(pred) or _is_equation(gold)):
        return _compare_sets(pred, gold, rules)
    if isinstance(pred, Relation) or isinstance(gold, Relation):
        return relations.compare(pred, gold, lambda p, g: compare(p, g, rules))
    if isinstance(pred, Matrix) and isinstance(gold, Matrix):
        return _compare_matrices(pred, gold, rules)
    if isinstance(pred, Group) and isinstance(gold, Group):
        return _compare_groups(pred, gold, rules)
    if isinstance(pred, Formula) and isinstance(gold, Formula):
        return formulas.compare(pred.text, gold.text, rules)
    single = _single(pred), _single(gold)
    if single != (pred, gold):
        return compare(*single, rules)
    return None if any(isinstance(side, Formula) and "\\begin" in side.text for side in single) else False


def _is_set(answer: Answer) -> bool:
    return (
        isinstance(answer, Combination) or (isinstance(answer, Relation) and answer.signs == ("≠",)) or answer == _REALS
    )


def _is_equation(answer: Answer) -> TypeGuard[Relation]:
    return isinstance(answer, Relation) and answer.signs == ("=",)


def _compare_sets(pred: Answer, gold: Answer, rules: MathVerifier) -> Ternary:
    """As sets of real numbers where both are; else part by part."""
    (set_pred, names_pred), (set_gold, names_gold) = _described(pred), _described(gold)
    if names_pred and names_gold and names_pred != names_gold:
        return False
    verdict = reals.same(set_pred, set_gold)
    if verdict is not None:
        return verdict
    if isinstance(set_pred, Combination) and isinstance(set_gold, Combination):
        return set_pred.sign == set_gold.sign and _compare_operands(set_pred, set_gold, rules)
    if isinstance(pred, Relation) and isinstance(gold, Relation):
        return relations.compare(pred, gold, lambda p, g: compare(p, g, rules))
    return False


def _compare_operands(pred: Combination, gold: Combination, rules: MathVerifier) -> Ternary:
    if pred.sign != "∖":
        return _compare_unordered(pred.parts, gold.parts, rules)
    same_size = len(pred.parts) == len(gold.parts)
    return same_size and all_of(compare(p, g, rules) for p, g in zip(pred.parts, gold.parts, strict=True))


def _described(answer: Answer) -> tuple[Answer, frozenset[str]]:
    """An answer with every inequality in it replaced by the set that it states, and the variables bounded there."""
    if isinstance(answer, Relation):
        return relations.stated_set(answer) or (answer, frozenset())
    if not isinstance(answer, Combination):
        return answer, frozenset()
    parts, names = zip(*map(_described, answer.parts), strict=True)
    return Combination(answer.sign, parts), frozenset[str]().union(*names)


def _single(answer: Answer) -> Answer:
    """A set or bracket of one part is that part, a matrix of one row or column a tuple."""
    if isinstance(answer, Matrix):
        return _vector(answer)
    return (
        answer.parts[0]
        if isinstance(answer, Group) and len(answer.parts) == 1 and answer.parts[0] != _EMPTY
        else answer
    )


def _vector(matrix: Matrix) -> Answer:
    if len(matrix.rows) == 1 and len(matrix.rows[0]) > 1:
        return Group("⟨", "⟩", matrix.rows[0])
    column = tuple(row[0] for row in matrix.rows if len(row) == 1)
    return Group("⟨", "⟩", column) if 1 < len(column) == len(matrix.rows) else matrix


def _compare_matrices(pred: Matrix, gold: Matrix, rules: MathVerifier) -> Ternary:
    if [len(row) for row in pred.rows] != [len(row) for row in gold.rows]:
        return False
    return all_of(
        compare(p, g, rules)
        for pred_row, gold_row in zip(pred.rows, gold.rows, strict=True)
        for p, g in zip(pred_row, gold_row, strict=True)
    )


def _compare_groups(pred: Group, gold: Group, rules: MathVerifier) -> Ternary:
    if not (_ordered(pred, rules) or _ordered(gold, rules) or _names_all(pred) != _names_all(gold)):
        return _compare_unordered(pred.parts, gold.parts, rules)
    if len(pred.parts) != len(gold.parts) or not _brackets_agree(pred, gold):
        return False
    return all_of(compare(p, g, rules) for p, g in zip(pred.parts, gold.parts, strict=True))


def _ordered(group: Group, rules: MathVerifier) -> bool:
    return group.ordered or (group.opening == "" and rules.lists == "ordered")


def _names_all(group: Group) -> bool:
    """``x = 1, y = 2`` tells which is which; ``x_1 = 1, x_2 = 2`` are the solutions for x."""
    names = {part.sides[0].partition("_")[0] for part in group.parts if _is_equation(part)}
    return len(names) == len(group.parts) > 1


def _brackets_agree(pred: Group, gold: Group) -> bool:
    """For two groups of which one at least is ordered."""
    if "" in (pred.opening, gold.opening):
        return True
    if not (pred.ordered and gold.ordered):
        return False
    same = (pred.opening, pred.closing) == (gold.opening, gold.closing)
    return same or len(pred.parts) != 2 or "⟨" in (pred.opening, gold.opening)


# Sets


def _compare_unordered(pred: Sequence[Answer], gold: Sequence[Answer], rules: MathVerifier) -> Ternary:
    """Set equality: exact keys first, then pairings of the remainder that machine numbers do not rule out."""
    by_key_pred, by_key_gold = {_key(part): part for part in pred}, {_key(part): part for part in gold}
    if len(by_key_pred) != len(by_key_gold):
        return False
    rest_pred = [part for key, part in by_key_pred.items() if key not in by_key_gold]
    rest_gold = [part for key, part in by_key_gold.items() if key not in by_key_pred]
    if len(rest_gold) ** 2 > _MAX_PAIRINGS:
        return False
    return _pair_up(rest_pred, rest_gold, rules)


def _pair_up(pred: Sequence[Answer], gold: list[Answer], rules: MathVerifier) -> Ternary:
    """True if every part has a partner, False if one, on either side, can have none."""
    left = {index: (other, _fingerprint(other)) for index, other in enumerate(gold)}
    partners: list[set[int]] = []
    for part in pred:
        mark = _fingerprint(part)
        verdicts = {
            i: compare(part, other, rules) if _may_match(mark, its) else False for i, (other, its) in left.items()
        }
        if match := [index for index, verdict in verdicts.items() if verdict]:
            del left[match[0]]
        else:
            partners.append({index for index, verdict in verdicts.items() if verdict is None})
    possible = all(options & left.keys() for options in partners) and left.keys() <= set[int]().union(*partners)
    return (True if not partners else None) if possible else False


def _key(answer: Answer) -> object:
    """Text, for numbers can be chosen so that all their hashes are one."""
    return "{}{}".format(*exact.key_of(answer.text)) if isinstance(answer, Formula) else answer


def _fingerprint(answer: Answer) -> complex | None:
    return formulas.fingerprint(answer.text) if isinstance(answer, Formula) else None


def _may_match(a: complex | None, b: complex | None) -> bool:
    return a is None or b is None or abs(a - b) <= 1e-5 * max(abs(a), abs(b), 1.0)
