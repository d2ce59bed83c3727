"""What must hold before the first update: each check passes on what is right and says what to do about what is not."""

from __future__ import annotations

import math
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerFast

from assay.contracts.errors import InvariantError
from assay.contracts.records import PromptRow
from assay.contracts.task import TaskSpec
from assay.contracts.training import OptimizerSpec, TrainSpec
from assay.training.invariants import (
    BOUNDS,
    check_adam_eps,
    check_agreement,
    check_prompts,
    check_ratio,
    check_reference,
    check_special_tokens,
    special_tokens,
)

SPEC = TrainSpec(steps=1)
TASK = TaskSpec.model_validate(
    {
        "name": "toy",
        "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
        "prompt": "{question}",
        "max_completion_tokens": 6,
    }
)


def row(text: str, tokens: list[int]) -> PromptRow:
    return PromptRow("toy/1", "toy", "train", text, "1", "all", text, tokens)


def test_prompts_decode_to_what_the_task_rendered(byte_tokenizer: Any) -> None:
    """F05"""
    text = "Question: 1 + 1 ?\n  Räume !"
    tokens = byte_tokenizer.encode(text, add_special_tokens=False)
    check_prompts([row(text, tokens)], byte_tokenizer)
    with pytest.raises(InvariantError, match=r"toy/1: its tokens decode to .* at character 10"):
        check_prompts([row(text, tokens[:10] + tokens[11:])], byte_tokenizer)


def test_a_prompt_cut_short_is_noticed(byte_tokenizer: Any) -> None:
    tokens = byte_tokenizer.encode("abc", add_special_tokens=False)
    with pytest.raises(InvariantError, match="at character 2"):
        check_prompts([row("abc", tokens[:2])], byte_tokenizer)


def test_a_plain_prompt_holds_no_special_token_but_the_one_that_begins_every_text() -> None:
    """F02"""
    tasks, chat = {"toy": TASK}, {"toy": TASK.model_copy(update={"style": "chat"})}
    check_special_tokens([row("a", [256, 1, 2])], tasks, {256, 257}, begin=256)
    check_special_tokens([row("a", [1, 257, 2])], chat, {256, 257}, begin=None)
    for tokens in ([1, 257, 2], [256, 256, 1]):
        with pytest.raises(InvariantError, match=r"special tokens \[25[67]\]"):
            check_special_tokens([row("a", tokens)], tasks, {256, 257}, begin=256)


def llama_like() -> PreTrainedTokenizerFast:
    """Tokens of the chat template are special and have no role, as in Llama 3."""
    names = [f"w{i}" for i in range(4)]
    core = Tokenizer(models.WordLevel({name: i for i, name in enumerate(names)}, unk_token="w0"))
    core.add_special_tokens([AddedToken(name, special=True) for name in ("<|begin_of_text|>", "<|eot_id|>")])
    core.add_tokens([AddedToken("<tool>", special=False)])
    return PreTrainedTokenizerFast(tokenizer_object=core, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")


def test_special_tokens_without_a_role_are_special_too() -> None:
    """F02: Llama 3's <|start_header_id|> and <|eot_id|> are in no list of the tokenizer's but that of added tokens."""
    tokenizer = llama_like()
    begin, turn, end = tokenizer.convert_tokens_to_ids(["<|begin_of_text|>", "<|eot_id|>", "<|end_of_text|>"])
    assert turn not in tokenizer.all_special_ids
    assert special_tokens(tokenizer) == {begin, turn, end}
    with pytest.raises(InvariantError, match=rf"special tokens \[{turn}\]"):
        check_special_tokens([row("a", [begin, 1, turn])], {"toy": TASK}, special_tokens(tokenizer), begin)


def test_trainer_and_sampler_agree_within_what_the_precision_explains() -> None:
    """F09: another temperature; F25."""
    check_agreement(0, [[-1.0, -2.0]], [[-1.0, -2.0]], SPEC)
    with pytest.raises(InvariantError, match=r"step 7.*differ by 0.25 nats"):
        check_agreement(7, [[-1.0, -2.0]], [[-1.25, -2.25]], SPEC)
    bf16 = SPEC.model_copy(update={"engine": SPEC.engine.model_copy(update={"dtype": "bf16"})})
    check_agreement(0, [[-1.0, -2.0]], [[-1.02, -2.02]], bf16)
    with pytest.raises(InvariantError, match="fp32 explains"):
        check_agreement(0, [[-1.0, -2.0]], [[-1.02, -2.02]], SPEC)
    check_agreement(0, [[-1.0]], [[-1.02]], SPEC.model_copy(update={"logprob_tolerance": 0.1}))


def test_one_token_that_is_far_off_is_seen_by_k3_where_the_mean_hides_it() -> None:
    trainer, sampler = [[-1.0] * 2000], [[-1.0] * 1999 + [-2.5]]
    with pytest.raises(InvariantError, match="k3"):
        check_agreement(0, trainer, sampler, SPEC)


def test_not_a_number_agrees_with_nothing() -> None:
    with pytest.raises(InvariantError):
        check_agreement(0, [[float("nan")]], [[-1.0]], SPEC)


def test_the_reference_is_the_start_model() -> None:
    check_reference([[-1.0, -3.0]], [[-1.0, -3.0]], SPEC)
    with pytest.raises(InvariantError, match="not the start model"):
        check_reference([[-1.0, -3.0]], [[-1.1, -3.0]], SPEC)


def test_the_ratio_of_the_first_update_is_one() -> None:
    """F25, also where a step makes several updates."""
    for updates in (1, 2):
        spec = SPEC.model_copy(update={"updates_per_step": updates})
        check_ratio(0, 1.0, spec)
        with pytest.raises(InvariantError, match=r"step 4: .* first update reaches 1.51, not 1"):
            check_ratio(4, 1.51, spec)
    with pytest.raises(InvariantError, match="nan"):
        check_ratio(0, math.nan, SPEC)


@pytest.mark.parametrize("rms", [1e-5, 5e-5, 1e-4])
def test_adams_eps_lies_below_the_gradient(rms: float) -> None:
    """F16: eps 1e-4 against a gradient RMS of 1e-5 … 5e-5."""
    check_adam_eps(rms, 0.5, OptimizerSpec(eps=1e-8))
    with pytest.raises(InvariantError, match=rf"eps is 0.0001 and the first gradient's RMS {rms:.2g}.*F16"):
        check_adam_eps(rms, 0.5, OptimizerSpec(eps=1e-4))
    check_adam_eps(1.1e-4, 0.5, OptimizerSpec(eps=1e-4))


def test_adam_sees_the_gradient_after_it_was_clipped() -> None:
    clipped = OptimizerSpec(eps=1e-5, max_grad_norm=1.0)
    check_adam_eps(2.1e-5, 2.0, clipped)
    check_adam_eps(1.9e-5, 0.5, clipped)
    with pytest.raises(InvariantError, match=r"RMS 9.5e-06: updates would be 2.05 times too small.*Set it to 1e-08"):
        check_adam_eps(1.9e-5, 2.0, clipped)


@pytest.mark.parametrize("norm", [0.0, math.inf, math.nan])
def test_a_gradient_that_was_not_applied_tells_nothing_of_adams_eps(norm: float) -> None:
    """No group was mixed, or fp16 overflowed."""
    check_adam_eps(norm, norm, OptimizerSpec(eps=1e-4))


def test_there_are_bounds_for_every_precision() -> None:
    known = type(SPEC.engine).model_fields["dtype"].annotation
    assert set(BOUNDS) == set(known.__args__)  # type: ignore[union-attr]
