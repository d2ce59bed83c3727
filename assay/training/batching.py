"""Completions as tensors: prompts flush right, completions flush left, so that sampled tokens line up in columns.

    | pad … prompt | completion … pad |        P columns, then T columns

Lengths come from the token lists, never from token ids: a pad id may be a real token (F10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch


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


def shared_rows(items: Sequence[Tokens], rows: Sequence[int], ways: int) -> list[list[int]]:
    """The rows of each of so many processes: dealt out by length, so that all have about as much to do."""
    ordered = sorted(rows, key=lambda row: (sum(widths(items[row])), row))
    return [ordered[first::ways] for first in range(ways)]


def widths(item: Tokens) -> tuple[int, int]:
    """Tokens of the prompt and of the completion."""
    return len(item.prompt_tokens), len(item.completion_tokens)
