"""One process, two, and every ZeRO stage train the same policy.

Four updates of a tiny Qwen3 on the same rollouts, through gloo on CPUs. Sums over processes and over DeepSpeed's flat
pieces are taken in another order, so results differ in the last bits: by less than 1e-5 in any weight, of which updates
of up to 3e-3 have moved every one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.models import tiny_model
from tests.parity.training.processes import run

pytest.importorskip("deepspeed")
pytestmark = pytest.mark.slow

WEIGHTS, LOGPROBS = 1e-5, 1e-5
UNTIED = {"tie_word_embeddings": False}
BF16, LORA = {"engine": {"dtype": "bf16"}}, {"engine": {"lora": {"rank": 4}}}
FP16, LORA16 = {"engine": {"dtype": "fp16"}}, {"engine": {"dtype": "bf16", "lora": {"rank": 4}}}
OVERFLOWING = {"engine": {"dtype": "fp16", "fp16_scale_power": 32}}


def zero(stage: int, **more: Any) -> dict[str, Any]:
    return {"zero_stage": stage} | more


ALL, FIRST, REST = {"updates": [0, 4]}, {"updates": [0, 2]}, {"updates": [2, 4]}
OBJECTIVES = {
    name: ALL | {"spec": {"loss": {"objective": name}}} for name in ("dr_grpo", "dapo", "gspo", "rloo", "reinforce++")
}
"""Each normaliser that does not depend on the cut, and each kind of ratio."""
TWO: dict[str, Any] = {
    **{f"zero{stage}": ALL | {"scale": zero(stage)} for stage in (0, 1, 2, 3)},
    "offload2": ALL | {"scale": zero(2, offload_optimizer=True)},
    "offload3": ALL | {"scale": zero(3, offload_optimizer=True, offload_parameters=True)},
    "recompute3": ALL | {"scale": zero(3, activation_checkpointing=True)},
    "pieces0": ALL | {"piece_tokens": 3},
    "pieces3": ALL | {"scale": zero(3), "piece_tokens": 3},
    "pieces-recompute3": ALL | {"scale": zero(3, activation_checkpointing=True), "piece_tokens": 3},
    "untied3": ALL | {"model": UNTIED, "scale": zero(3), "piece_tokens": 3},
    "packing0": ALL | {"scale": {"packing": True}},
    "packing3": ALL | {"scale": zero(3, packing=True), "piece_tokens": 3},
    "bf16": ALL | {"spec": BF16},
    "bf16-3": ALL | {"spec": BF16, "scale": zero(3)},
    **{f"fp16-{stage}": ALL | {"spec": FP16, "scale": zero(stage)} for stage in (1, 2, 3)},
    "overflow": {"updates": [0, 1], "spec": OVERFLOWING},
    "lora-bf16": ALL | {"spec": LORA16},
    "lora-bf16-offload": ALL | {"spec": LORA16, "scale": zero(2, offload_optimizer=True)},
    "lora": ALL | {"spec": LORA},
    "lora-3": ALL | {"spec": LORA, "scale": zero(3)},
    **{f"{name}-{stage}": job | {"scale": zero(stage)} for name, job in OBJECTIVES.items() for stage in (0, 3)},
    "first0": FIRST,
    "rest0": REST | {"load": "first0"},
    "first2": FIRST | {"scale": zero(2)},
    "rest2": REST | {"scale": zero(2), "load": "first2"},
    "first3": FIRST | {"scale": zero(3)},
    "rest3": REST | {"scale": zero(3), "load": "first3"},
    "first-bf16": FIRST | {"spec": BF16},
    "rest-bf16": REST | {"spec": BF16, "load": "first-bf16"},
}
WAYS = ("zero", "offload", "recompute", "pieces", "pieces-recompute", "packing")
"""They change where numbers are held and how they are added up, and nothing else."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def two(folder: Path) -> dict[str, Any]:
    return run(2, folder / "two", TWO)


@pytest.fixture(scope="module")
def one(folder: Path, two: dict[str, Any]) -> dict[str, Any]:
    """`three` begins with two processes of ZeRO 3 and ends with one of torch's; `back` the other way round."""
    assert {"first0", "first3"} <= two.keys()
    jobs = {
        "torch": ALL,
        "lora": ALL | {"spec": LORA},
        "untied": ALL | {"model": UNTIED},
        "three": REST | {"load": "../two/first3"},
        "back": REST | {"load": "../two/first0", "scale": zero(3)},
        "bf16": ALL | {"spec": BF16},
        "fp16": ALL | {"spec": FP16},
        "lora-bf16": ALL | {"spec": LORA16},
        **OBJECTIVES,
    }
    return run(1, folder / "one", jobs)


@pytest.fixture(scope="module")
def three(folder: Path, two: dict[str, Any]) -> dict[str, Any]:
    """Most weights cannot be cut in three equal parts."""
    assert "first3" in two
    again = {"first": FIRST | {"scale": zero(3)}, "rest": REST | {"scale": zero(3), "load": "first"}}
    return run(3, folder / "three", again | {"from two": REST | {"scale": zero(3), "load": "../two/first3"}})


def furthest(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> float:
    assert found.keys() == expected.keys()
    return max(float((found[name] - expected[name]).abs().max()) for name in found)


def say_the_same(found: Any, expected: Any, within: float) -> bool:
    rows = zip(found["logprobs"], expected["logprobs"], strict=True)
    return all(abs(a - b) <= within for mine, theirs in rows for a, b in zip(mine, theirs, strict=True))


@pytest.mark.parametrize("name", [name for name in TWO if name.rstrip("0123") in WAYS])
def test_two_processes_train_what_one_trains(one: dict[str, Any], two: dict[str, Any], name: str) -> None:
    found, expected = two[name], one["torch"]
    assert furthest(found["weights"], expected["weights"]) < WEIGHTS
    assert furthest(found["moments"], expected["moments"]) < WEIGHTS
    assert furthest(found["sampled"], found["weights"]) == 0
    assert say_the_same(found, expected, LOGPROBS)


def test_so_do_they_with_an_output_layer_of_its_own(one: dict[str, Any], two: dict[str, Any]) -> None:
    assert furthest(two["untied3"]["weights"], one["untied"]["weights"]) < WEIGHTS
    assert say_the_same(two["untied3"], one["untied"], LOGPROBS)


@pytest.mark.parametrize("name", ["zero0", "zero1", "zero2", "zero3"])
def test_metrics_are_those_of_all_processes(one: dict[str, Any], two: dict[str, Any], name: str) -> None:
    for mine, theirs in zip(two[name]["metrics"], one["torch"]["metrics"], strict=True):
        padding = {"padding_share": mine["padding_share"]}  # of other micro-batches
        assert mine == pytest.approx(theirs | padding, rel=1e-4, abs=1e-6)
        assert 0 <= mine["padding_share"] < 0.5


@pytest.mark.parametrize("stage", [0, 3])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_losses_are_normalised_over_all_processes(
    one: dict[str, Any], two: dict[str, Any], name: str, stage: int
) -> None:
    """By the tokens and completions of the whole update, whatever part of them a process has (F16)."""
    for mine, theirs in zip(two[f"{name}-{stage}"]["metrics"], one[name]["metrics"], strict=True):
        padding = {"padding_share": mine["padding_share"]}
        assert mine == pytest.approx(theirs | padding, rel=1e-3, abs=1e-5)


def test_the_policy_that_is_compared_is_one_that_moved(one: dict[str, Any]) -> None:
    start = {name: parameter.detach() for name, parameter in tiny_model().named_parameters()}
    assert all(float((tensor - start[name]).abs().max()) > 1e-3 for name, tensor in one["torch"]["weights"].items())
    assert all(row["grad_norm"] > 1 for row in one["torch"]["metrics"])


@pytest.mark.parametrize(
    ("rest", "whole"), [("rest0", "zero0"), ("rest2", "zero2"), ("rest3", "zero3"), ("rest-bf16", "bf16")]
)
def test_a_resumed_run_ends_with_the_same_bits(two: dict[str, Any], rest: str, whole: str) -> None:
    for kind in ("weights", "moments", "sampled"):
        assert furthest(two[rest][kind], two[whole][kind]) == 0
    assert two[rest]["metrics"] == two[whole]["metrics"][2:]
    assert two[rest]["counters"] == two[whole]["counters"]


@pytest.mark.parametrize("name", ["three", "back"])
def test_another_number_of_processes_can_go_on(one: dict[str, Any], name: str) -> None:
    """Checkpoints hold whole tensors, cut anew by whoever reads them (F18)."""
    assert furthest(one[name]["weights"], one["torch"]["weights"]) < WEIGHTS
    assert furthest(one[name]["moments"], one["torch"]["moments"]) < WEIGHTS


@pytest.mark.parametrize("name", ["rest", "from two"])
def test_nor_need_the_number_divide_the_weights(one: dict[str, Any], three: dict[str, Any], name: str) -> None:
    assert furthest(three[name]["weights"], one["torch"]["weights"]) < WEIGHTS
    assert furthest(three[name]["moments"], one["torch"]["moments"]) < WEIGHTS


@pytest.mark.parametrize("name", ["lora-bf16", "lora-bf16-offload"])
def test_adapters_are_trained_in_half_precision(one: dict[str, Any], two: dict[str, Any], name: str) -> None:
    assert furthest(two[name]["weights"], one["lora-bf16"]["weights"]) < 1e-2
    assert any(name.endswith("exp_avg") for name in two[name]["moments"])


@pytest.mark.parametrize("name", ["fp16-1", "fp16-2", "fp16-3"])
def test_fp16_scales_its_loss_alike_whatever_the_number_of_processes(
    one: dict[str, Any], two: dict[str, Any], name: str
) -> None:
    """Two processes once scaled a gradient twice as much, and skipped three updates of four."""
    assert all(row["learning_rate"] > 0 for row in two[name]["metrics"][1:])
    assert furthest(two[name]["weights"], one["fp16"]["weights"]) < 1e-2
    for mine, theirs in zip(two[name]["metrics"], one["torch"]["metrics"], strict=True):
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=0.05)


def test_a_gradient_that_overflows_is_skipped_not_counted_and_the_scale_halved(two: dict[str, Any]) -> None:
    (row,) = two["overflow"]["metrics"]
    assert (row["grad_norm"], row["learning_rate"]) == (0, 0)
    assert two["overflow"]["moments"] == {}
    counters = two["overflow"]["counters"]
    assert (counters["updates"], counters["loss_scaler"]["cur_scale"]) == (0, 2.0**30)  # 2^32, half of it each, halved


@pytest.mark.parametrize("name", ["lora", "lora-3"])
def test_adapters_are_shared_out_and_merged(one: dict[str, Any], two: dict[str, Any], name: str) -> None:
    assert furthest(two[name]["weights"], one["lora"]["weights"]) < WEIGHTS
    assert set(two[name]["weights"]) == set(one["torch"]["weights"])
    assert say_the_same(two[name], one["lora"], LOGPROBS)


@pytest.mark.parametrize("name", ["bf16", "bf16-3"])
def test_half_precision_steps_fp32_weights(one: dict[str, Any], two: dict[str, Any], name: str) -> None:
    """bf16 has 8 bits: gradients differ by parts in a hundred, and Adam's steps with them, by a few of 3e-3."""
    found = two[name]
    assert any(not torch.equal(tensor, tensor.bfloat16().float()) for tensor in found["weights"].values())
    for name, tensor in found["weights"].items():
        assert torch.equal(found["sampled"][name], tensor.bfloat16().float())
    assert furthest(found["weights"], one["bf16"]["weights"]) < 1e-2
    for mine, theirs in zip(found["metrics"], one["torch"]["metrics"], strict=True):
        assert mine["grad_norm"] == pytest.approx(theirs["grad_norm"], rel=0.05)


def test_what_zero_3_gathers_is_exported_and_says_the_same(two: dict[str, Any], tmp_path: Path) -> None:
    """As stage `export` does it: put into a model of the start model's kind, tied ones once, saved and read again."""
    from transformers import AutoModelForCausalLM

    from tests.parity.training.processes import synthetic_rollouts

    model = tiny_model()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(two["zero3"]["weights"][name])
    model.save_pretrained(tmp_path)
    read = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    assert read.lm_head.weight is read.model.embed_tokens.weight
    for rollout, expected in zip(synthetic_rollouts(99), two["zero3"]["logprobs"], strict=True):
        sequence, start = [*rollout.prompt_tokens, *rollout.completion_tokens], len(rollout.prompt_tokens)
        scores_SV = torch.log_softmax(read(torch.tensor([sequence])).logits[0], -1)
        found = [float(scores_SV[place - 1, sequence[place]]) for place in range(start, len(sequence))]
        assert found == pytest.approx(expected, abs=LOGPROBS)
