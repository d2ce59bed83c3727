"""Any list of completions as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.training.batching import collate

TOKENS = st.lists(st.integers(0, 5), min_size=1, max_size=12)


@dataclass(frozen=True)
class Item:
    prompt_tokens: list[int]
    completion_tokens: list[int]


ITEMS = st.lists(st.builds(Item, TOKENS, TOKENS), min_size=1, max_size=20)


@given(ITEMS)
def test_collating_loses_no_token_whatever_its_id(items: list[Item]) -> None:
    """Ids 0 … 5 are all real tokens here; the tensors are read back by the mask alone (F10)."""
    batch = collate(items, list(range(len(items))), torch.device("cpu"))
    for row, item in enumerate(items):
        assert (
            batch.input_BS[row][batch.attention_BS[row].bool()].tolist() == item.prompt_tokens + item.completion_tokens
        )
        assert batch.target_BT[row][batch.mask_BT[row].bool()].tolist() == item.completion_tokens
