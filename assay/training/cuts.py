"""How completions are cut into micro-batches: within the token budget, and with little padding.

    padded    | pad … prompt | completion … pad |        a row each; prompts and completions are padded apart
    packed    | prompt completion | prompt completion |  several to a row, none wider than the longest

Cuts depend on lengths alone, so every process and every attempt makes the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from assay.training.batching import Tokens, widths

MICRO_BATCH_TOKENS = 512
"""One micro-batch more costs about as much as running so many more positions."""
PROMPT_CLASSES = (2, 4)

Widths = Mapping[int, tuple[int, int]]
"""Row -> tokens of its prompt and of its completion."""


def micro_batches(items: Sequence[Tokens], rows: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Padded rows: no tensor, padding included, is over the budget, and every row is in exactly one (F07). A sequence
    longer than the budget makes a micro-batch of its own.

    Neighbours in length of prompts are none in length of completions: of several orders the cheapest cut is taken.
    """
    wide = {row: widths(items[row]) for row in rows}
    cuts = [_cut(order, wide, budget_tokens) for order in _orders(wide)]
    return min(cuts, key=lambda cut: sum(MICRO_BATCH_TOKENS + _positions(batch, wide) for batch in cut))


def _orders(wide: Widths) -> Iterator[list[int]]:
    """By length, by the completion's, and by the completion's within classes of prompts of like length."""
    yield sorted(wide, key=lambda row: (sum(wide[row]), row))
    yield sorted(wide, key=lambda row: (wide[row][1], wide[row][0], row))
    rank = {row: place for place, row in enumerate(sorted(wide, key=lambda row: (wide[row][0], row)))}
    for classes in PROMPT_CLASSES:
        share = max(1, -(-len(wide) // classes))
        yield sorted(wide, key=lambda row: (rank[row] // share, wide[row][1], row))


def _cut(order: Sequence[int], wide: Widths, budget_tokens: int) -> list[list[int]]:
    """A row joins the micro-batch before it, unless a new one costs less."""
    batches: list[list[int]] = []
    prompt = completion = 0
    for row in order:
        wider = max(prompt, wide[row][0]), max(completion, wide[row][1])
        joined = (len(batches[-1]) + 1) * sum(wider) if batches else budget_tokens + 1
        grown = joined - (len(batches[-1]) * (prompt + completion) if batches else 0)
        if joined <= budget_tokens and grown <= sum(wide[row]) + MICRO_BATCH_TOKENS:
            batches[-1].append(row)
            prompt, completion = wider
        else:
            batches.append([row])
            prompt, completion = wide[row]
    return batches


def _positions(batch: Sequence[int], wide: Widths) -> int:
    return len(batch) * (max(wide[row][0] for row in batch) + max(wide[row][1] for row in batch))


def packed_batches(items: Sequence[Tokens], rows: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """The same for packed rows: each micro-batch takes the longest that are left, and what fits beside them."""
    length = {row: sum(widths(items[row])) for row in rows}
    left = sorted(rows, key=lambda row: (-length[row], row))
    batches: list[list[int]] = []
    while left:
        bins = Bins(length[left[0]], budget_tokens // max(1, length[left[0]]))
        batches.append([row for row in left if bins.put(length[row]) is not None])
        taken = set(batches[-1])
        left = [row for row in left if row not in taken]
    return batches


class Bins:
    """Up to so many rows of one width, at least one; each sequence goes into the first that has room for it."""

    def __init__(self, width: int, most: int) -> None:
        self.width = width
        self.most = max(1, most)
        self.filled: list[int] = []

    def put(self, length: int) -> tuple[int, int] | None:
        """Where a sequence comes to lie: (row, place of its first token). None: there is no room for it."""
        fitting = (place for place, filled in enumerate(self.filled) if filled + length <= self.width)
        place = next(fitting, len(self.filled))
        if place == self.most:
            return None
        if place == len(self.filled):
            self.filled.append(0)
        self.filled[place] += length
        return place, self.filled[place] - length
