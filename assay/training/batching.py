"""Completions as tensors: prompts flush right, completions flush left, so that sampled tokens line up in columns.

    | pad … prompt | completion … pad |        P columns, then T columns

Lengths come from the token lists, never from token ids: a pad id may be a real token (F10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

DENSITY = 0.8
"""Share of a micro-batch that is no padding, where it is not small: 20 rows of 40 tokens are no reason to make 200 rows
of 15 as long."""
SMALL_TOKENS = 512
"""So few cost about as much as fewer, so a micro-batch of them may be padded as it likes."""


class Tokens(Protocol):
    """Anything with prompt and completion tokens."""

    @property
    def prompt_tokens(self) -> Sequence[int]: ...

    @property
    def completion_tokens(self) -> Sequence[int]: ...


@dataclass(frozen=True, slots=True)
class TokenBatch:
    """A micro-batch. `rows` are the places of its completions in the list it was cut from."""

    rows: list[int]
    input_BS: torch.Tensor
    attention_BS: torch.Tensor
    position_BS: torch.Tensor
    target_BT: torch.Tensor
    mask_BT: torch.Tensor

    def pad(self, values: Sequence[Sequence[float]]) -> torch.Tensor:
        """Per-token values of these rows as a float tensor (B, T), zero on padding."""
        padded_BT = torch.zeros(self.mask_BT.shape, dtype=torch.float32)
        for place, row in enumerate(self.rows):
            padded_BT[place, : len(values[row])] = torch.tensor(values[row])
        return padded_BT.to(self.mask_BT.device)


def collate(items: Sequence[Tokens], rows: list[int], device: torch.device) -> TokenBatch:
    """The rows of `items` as one micro-batch on `device`."""
    prompt_width = max(len(items[row].prompt_tokens) for row in rows)
    completion_width = max(len(items[row].completion_tokens) for row in rows)
    input_BS = torch.zeros(len(rows), prompt_width + completion_width, dtype=torch.long)
    attention_BS = torch.zeros_like(input_BS)
    for place, row in enumerate(rows):
        sequence = [*items[row].prompt_tokens, *items[row].completion_tokens]
        start = prompt_width - len(items[row].prompt_tokens)
        input_BS[place, start : start + len(sequence)] = torch.tensor(sequence)
        attention_BS[place, start : start + len(sequence)] = 1
    position_BS = (attention_BS.cumsum(-1) - 1).clamp(min=0)
    target_BT, mask_BT = input_BS[:, prompt_width:], attention_BS[:, prompt_width:].float()
    tensors = (tensor.to(device) for tensor in (input_BS, attention_BS, position_BS, target_BT, mask_BT))
    return TokenBatch(rows, *tensors)


def blank(device: torch.device) -> TokenBatch:
    """A micro-batch of no completions: two positions, neither of them sampled."""
    ones = torch.ones(1, 2, dtype=torch.long, device=device)
    target_BT = torch.zeros(1, 1, dtype=torch.long, device=device)
    return TokenBatch([], torch.zeros_like(ones), ones, ones.cumsum(-1) - 1, target_BT, target_BT.float())


def micro_batches(items: Sequence[Tokens], rows: Sequence[int], budget_tokens: int) -> list[list[int]]:
    """Rows grouped by length so that no collated tensor, padding included, is over the budget, and that little of it is
    padding; every row is in exactly one (F07). A sequence longer than the budget makes a micro-batch of its own.
    """
    ordered = sorted(rows, key=lambda row: (sum(_widths(items[row])), row))
    batches: list[list[int]] = []
    prompt_width = completion_width = tokens = 0
    for row in ordered:
        prompt, completion = _widths(items[row])
        prompt_width, completion_width = max(prompt, prompt_width), max(completion, completion_width)
        tokens += prompt + completion
        padded = (len(batches[-1]) + 1 if batches else 1) * (prompt_width + completion_width)
        if batches and padded <= budget_tokens and _is_dense(tokens, padded):
            batches[-1].append(row)
        else:
            batches.append([row])
            prompt_width, completion_width, tokens = prompt, completion, prompt + completion
    return batches


def _is_dense(tokens: int, padded: int) -> bool:
    return padded <= SMALL_TOKENS or tokens >= DENSITY * padded


def shared_rows(items: Sequence[Tokens], rows: Sequence[int], ways: int) -> list[list[int]]:
    """The rows of each of so many processes: dealt out by length, so that all have about as much to do."""
    ordered = sorted(rows, key=lambda row: (sum(_widths(items[row])), row))
    return [ordered[first::ways] for first in range(ways)]


def _widths(item: Tokens) -> tuple[int, int]:
    return len(item.prompt_tokens), len(item.completion_tokens)
