"""Micro-batches of any list of completions."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.training.batching import DENSITY, SMALL_TOKENS, collate, micro_batches

TOKENS = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@dataclass(frozen=True)
class Item:
    prompt_tokens: list[int]
    completion_tokens: list[int]


ITEMS = st.lists(st.builds(Item, TOKENS, TOKENS), min_size=1, max_size=20)


@given(ITEMS, st.integers(1, 80), st.data())
def test_every_row_is_in_exactly_one_micro_batch_and_none_is_over_budget_padding_included(
    items: list[Item], budget: int, data: st.DataObject
) -> None:
    """The rest that did not fill a micro-batch once hung a run (F07)."""
    rows = data.draw(st.lists(st.sampled_from(range(len(items))), unique=True))
    batches = micro_batches(items, rows, budget)
    assert sorted(row for batch in batches for row in batch) == sorted(rows)
    for batch in batches:
        padded = collate(items, batch, torch.device("cpu")).input_BS.numel()
        assert len(batch) == 1 or padded <= budget


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_a_micro_batch_is_small_or_mostly_tokens(lengths: list[int]) -> None:
    """One long completion once made a batch of short ones as wide as itself."""
    items = [Item([1], [2] * length) for length in lengths]
    for batch in micro_batches(items, range(len(items)), 10**9):
        padded = collate(items, batch, torch.device("cpu")).input_BS.numel()
        tokens = sum(1 + lengths[row] for row in batch)
        assert padded <= SMALL_TOKENS or tokens >= DENSITY * padded


@given(ITEMS)
def test_collating_loses_no_token_whatever_its_id(items: list[Item]) -> None:
    """Ids 0 … 5 are all real tokens here; the tensors are read back by the mask alone (F10)."""
    batch = collate(items, list(range(len(items))), torch.device("cpu"))
    for row, item in enumerate(items):
        assert (
            batch.input_BS[row][batch.attention_BS[row].bool()].tolist() == item.prompt_tokens + item.completion_tokens
        )
        assert batch.target_BT[row][batch.mask_BT[row].bool()].tolist() == item.completion_tokens
