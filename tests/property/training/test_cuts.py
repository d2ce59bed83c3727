"""Micro-batches of any list of completions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.training.batching import Tokens, collate, widths
from assay.training.cuts import MICRO_BATCH_TOKENS, micro_batches, packed_batches
from assay.training.packing import packed_positions

TOKENS = st.lists(st.integers(0, 5), min_size=1, max_size=12)
CPU = torch.device("cpu")
Cut = Callable[[Sequence[Tokens], Sequence[int], int], list[list[int]]]


@dataclass(frozen=True)
class Item:
    prompt_tokens: list[int]
    completion_tokens: list[int]


ITEMS = st.lists(st.builds(Item, TOKENS, TOKENS), min_size=1, max_size=20)


def positions(cut: Cut, items: Sequence[Item], batch: list[int]) -> int:
    """What a pass runs, from the tensors themselves."""
    collated = collate(items, batch, CPU)
    return packed_positions(collated) if cut is packed_batches else collated.input_BS.numel()


@pytest.mark.parametrize("cut", [micro_batches, packed_batches])
@given(items=ITEMS, budget=st.integers(1, 80), data=st.data())
def test_every_row_is_in_exactly_one_micro_batch_and_none_is_over_budget_padding_included(
    cut: Cut, items: list[Item], budget: int, data: st.DataObject
) -> None:
    """The rest that did not fill a micro-batch once hung a run (F07)."""
    rows = data.draw(st.lists(st.sampled_from(range(len(items))), unique=True))
    batches = cut(items, rows, budget)
    assert sorted(row for batch in batches for row in batch) == sorted(rows)
    for batch in batches:
        assert len(batch) == 1 or positions(cut, items, batch) <= budget
    assert cut(items, rows[::-1], budget) == batches


@given(st.lists(st.tuples(st.integers(1, 300), st.integers(1, 900)), min_size=1, max_size=60))
def test_padding_is_worth_the_micro_batches_it_saves(lengths: list[tuple[int, int]]) -> None:
    """One long completion once made a batch of short ones as wide as itself."""
    items = [Item([1] * prompt, [2] * completion) for prompt, completion in lengths]
    batches = micro_batches(items, range(len(items)), 10**9)
    cost = sum(MICRO_BATCH_TOKENS + positions(micro_batches, items, batch) for batch in batches)
    assert cost <= sum(MICRO_BATCH_TOKENS + sum(pair) for pair in lengths)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_budget_is_filled_and_little_of_it_with_padding(seed: int) -> None:
    """32 prompts of 40 to 240 tokens, 8 completions each of 20 to 1,000."""
    generator = torch.Generator().manual_seed(seed)
    prompts = (40 + 200 * torch.rand(32, generator=generator)).int().tolist()
    completions = (20 + 980 * torch.rand(256, generator=generator).square()).int().tolist()
    items = [Item([1] * prompts[row // 8], [2] * length) for row, length in enumerate(completions)]
    tokens = sum(sum(widths(item)) for item in items)
    padded, packed = (cut(items, range(256), 16_384) for cut in (micro_batches, packed_batches))
    fewest = -(-tokens // 16_384)
    assert len(padded) <= 3 * fewest
    assert tokens > 0.75 * sum(positions(micro_batches, items, batch) for batch in padded)
    assert len(packed) <= fewest + 2
    assert tokens > 0.9 * sum(positions(packed_batches, items, batch) for batch in packed)
