"""Completions as tensors, with a vocabulary whose id 0 is a real token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from assay.training.batching import blank, collate, shared_rows
from assay.training.logprobs import token_logprobs
from assay.training.rollout import Rollout

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Item:
    prompt_tokens: tuple[int, ...]
    completion_tokens: tuple[int, ...]


ITEMS = [Item((5, 6, 7), (0, 0)), Item((0,), (1, 0, 2, 0)), Item((9, 0), (3,))]


def test_prompts_lie_flush_right_and_completions_flush_left() -> None:
    batch = collate(ITEMS, [0, 1, 2], CPU)
    assert batch.input_BS.tolist() == [[5, 6, 7, 0, 0, 0, 0], [0, 0, 0, 1, 0, 2, 0], [0, 9, 0, 3, 0, 0, 0]]
    assert batch.attention_BS.tolist() == [[1, 1, 1, 1, 1, 0, 0], [0, 0, 1, 1, 1, 1, 1], [0, 1, 1, 1, 0, 0, 0]]
    assert batch.target_BT.tolist() == [[0, 0, 0, 0], [1, 0, 2, 0], [3, 0, 0, 0]]


def test_lengths_come_from_the_lists_though_id_0_is_a_real_token() -> None:
    """Counting tokens that differ from the pad id lost every `!` of Qwen3 (F10)."""
    batch = collate(ITEMS, [0, 1, 2], CPU)
    assert batch.mask_BT.sum(-1).tolist() == [2, 4, 1]
    assert batch.mask_BT.tolist()[1] == [1, 1, 1, 1]


def test_positions_count_real_tokens_from_zero() -> None:
    batch = collate(ITEMS, [0, 1, 2], CPU)
    for row, item in enumerate(ITEMS):
        real = batch.position_BS[row][batch.attention_BS[row].bool()].tolist()
        assert real == list(range(len(item.prompt_tokens) + len(item.completion_tokens)))


def test_a_micro_batch_holds_the_rows_it_was_asked_for_in_that_order() -> None:
    batch = collate(ITEMS, [2, 0], CPU)
    assert batch.rows == [2, 0]
    assert batch.target_BT.tolist() == [[3, 0], [0, 0]]


def test_padding_values_are_looked_up_by_row_and_are_zero_past_the_completion() -> None:
    batch = collate(ITEMS, [2, 0], CPU)
    assert batch.pad([[-0.5, -1.5], [-9.0] * 4, [-2.5]]).tolist() == [[-2.5, 0.0], [-0.5, -1.5]]


@pytest.mark.parametrize("ways", [1, 2, 3, 20])
def test_rows_are_dealt_out_so_that_all_processes_have_about_as_many_tokens(rollouts: list[Rollout], ways: int) -> None:
    shares = shared_rows(rollouts, range(len(rollouts)), ways)
    assert sorted(row for share in shares for row in share) == list(range(len(rollouts)))
    tokens = [sum(len(rollouts[row].prompt_tokens) + len(rollouts[row].completion_tokens) for row in s) for s in shares]
    longest = max(len(rollout.prompt_tokens) + len(rollout.completion_tokens) for rollout in rollouts)
    assert max(tokens) - min(tokens) <= longest


def test_a_blank_micro_batch_has_a_forward_pass_and_no_tokens(make_model: Any) -> None:
    """A process without completions makes it, so that the others do not wait."""
    batch, model = blank(torch.device("cpu")), make_model()
    assert (batch.rows, float(batch.mask_BT.sum())) == ([], 0.0)
    token_logprobs(model, batch, 1.0).sum().backward()
    assert all(parameter.grad is not None and not parameter.grad.any() for parameter in model.parameters())
