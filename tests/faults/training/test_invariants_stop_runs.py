"""What must hold is looked at where it can break: each fault stops a run, and without the look it would go on.

The checks themselves: tests/unit/training/test_invariants.py.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import AddedToken

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import InvariantError
from assay.contracts.records import PromptRow, TraceRow
from assay.contracts.stage import Runtime, TrainStage
from assay.contracts.training import TrainSpec
from assay.stages.prepared import PROMPTS
from assay.stages.progress import SilentProgress
from assay.stages.train import run as run_train
from assay.stages.work import Outcome, Work
from assay.storage.artifacts import Artifact
from assay.storage.files import FileStore
from assay.storage.tables import rows_from_parquet, rows_to_parquet
from assay.training.batching import TokenBatch
from assay.training.loop import GRPOTrainer
from assay.training.policy import Policy
from assay.training.rollout import Rollout, RolloutCollector
from tests.faults.training.toy_run import SETTINGS, STEPS, TASK, trainer

Start = Callable[..., GRPOTrainer]
SPLITS = ("train", "train", "validation")
WITHOUT_KL = {"kl": {"coefficient": 0.0}}
"""Then a step without a mixed group makes no update."""


@pytest.fixture
def start(make_model: Any, byte_tokenizer: Any, tmp_path: Path) -> Start:
    """`start(folder, **settings)`: a run that has not begun."""

    def make(folder: str = "run", **settings: Any) -> GRPOTrainer:
        spec = TrainSpec.model_validate(SETTINGS | settings)
        return trainer(make_model, byte_tokenizer, FileStore(tmp_path / folder), spec)

    return make


def steps_before_the_end(run: GRPOTrainer, match: str) -> int:
    """Steps that a run did until an invariant stopped it."""
    done = [0]
    with pytest.raises(InvariantError, match=match):
        run.run(lambda step, _: done.append(step))
    return done[-1]


def change_rollouts(
    monkeypatch: pytest.MonkeyPatch, change: Callable[[Rollout], Rollout], steps: range, purposes: tuple[str, ...]
) -> None:
    """Rollouts that are collected for these steps, changed."""
    collect = RolloutCollector.collect

    def changed(self: RolloutCollector, purpose: str, step: int, *rest: Any) -> list[Rollout]:
        rollouts = collect(self, purpose, step, *rest)
        return [change(rollout) for rollout in rollouts] if purpose in purposes and step in steps else rollouts

    monkeypatch.setattr(RolloutCollector, "collect", changed)


def shifted(rollout: Rollout) -> Rollout:
    """As a sampler says it that has other weights, or another temperature."""
    logprobs = tuple(value - 0.1 for value in rollout.completion.logprobs)
    return replace(rollout, completion=replace(rollout.completion, logprobs=logprobs))


@pytest.mark.parametrize("lag", [0, 1])
@pytest.mark.parametrize(("first", "every", "stops_at"), [(0, 2, 0), (1, 2, 2), (3, 2, 4), (3, 1, 3), (3, 5, 5)])
def test_a_sampler_that_goes_off_stops_the_run_at_the_next_look(
    start: Start, monkeypatch: pytest.MonkeyPatch, lag: int, first: int, every: int, stops_at: int
) -> None:
    """F09: log-probs at two temperatures; F25: a layer that was left behind. A step behind, a probe finds it."""
    change_rollouts(monkeypatch, shifted, range(first, STEPS), ("rollout", "agreement"))
    run = start(logprob_check_every_steps=every, rollout={"max_staleness_steps": lag})
    assert steps_before_the_end(run, rf"step {stops_at}: .* differ by 0.1 nats.*F09, F25") == stops_at


def test_completions_of_older_weights_are_not_compared_themselves(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The policy has moved on since: that is what importance weights are for."""
    change_rollouts(monkeypatch, shifted, range(1, STEPS), ("rollout",))
    run = start(logprob_check_every_steps=1, rollout={"max_staleness_steps": 1})
    assert run.run(lambda *_: None).steps_done == STEPS


@torch.no_grad()
def scale_reference(run: GRPOTrainer, factor: float) -> None:
    for parameter in run.policy.reference.parameters():
        parameter.mul_(factor)


def test_a_reference_that_is_not_the_start_model_stops_the_run(start: Start) -> None:
    run = start()
    scale_reference(run, 1.1)
    assert steps_before_the_end(run, "step 0: KL to the reference is .*not the start model") == 0


def drop_out_in_updates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attention at random where gradients are taken, and only there."""
    score = Policy.token_logprobs

    def noisy(self: Policy, batch: TokenBatch) -> torch.Tensor:
        self.model.train()
        try:
            return score(self, batch)
        finally:
            self.model.eval()

    monkeypatch.setattr(Policy, "token_logprobs", noisy)


@pytest.fixture
def start_with_dropout(make_model: Any, byte_tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Start:
    drop_out_in_updates(monkeypatch)

    def make(**settings: Any) -> GRPOTrainer:
        def dropping(**shape: Any) -> Any:
            return make_model(attention_dropout=0.3, **shape)

        return trainer(dropping, byte_tokenizer, FileStore(tmp_path), TrainSpec.model_validate(SETTINGS | settings))

    return make


@pytest.mark.parametrize("updates", [1, 2])
def test_dropout_in_the_update_stops_the_run(start_with_dropout: Start, updates: int) -> None:
    """F25: the ratio of the very first update is 1, however many a step makes."""
    run = start_with_dropout(updates_per_step=updates)
    assert steps_before_the_end(run, "step 0: the importance ratio of the run's first update") == 0


def test_later_updates_of_a_step_may_leave_the_ratio_of_one(start: Start) -> None:
    """They learn from what the policy was before the first of them."""
    run = start(updates_per_step=4, optimizer={"learning_rate": 3e-2, "warmup_steps": 0})
    metrics = run.run(lambda *_: None).metrics
    assert metrics[0]["ratio_max"] > 1.01 > metrics[0]["first_ratio_max"]


def rewarded_alike(rollout: Rollout) -> Rollout:
    return replace(rollout, reward=0.0)


def test_the_first_update_is_looked_at_also_where_step_0_makes_none(
    start_with_dropout: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No group of steps 0 and 1 is mixed."""
    change_rollouts(monkeypatch, rewarded_alike, range(2), ("rollout",))
    run = start_with_dropout(**WITHOUT_KL)
    assert steps_before_the_end(run, "step 2: the importance ratio of the run's first update") == 2


@pytest.mark.parametrize(("quiet", "kl"), [(0, 0.0), (2, 0.0), (2, 1.0)])
def test_an_adam_eps_above_the_first_gradient_stops_the_run(
    start: Start, monkeypatch: pytest.MonkeyPatch, quiet: int, kl: float
) -> None:
    """F16. Also where the first steps have no gradient to judge it by, or the KL term's, which is of rounding alone;
    after the first that has one it is known."""
    change_rollouts(monkeypatch, rewarded_alike, range(quiet), ("rollout",))

    def ready(folder: str, eps: float) -> GRPOTrainer:
        run = start(folder, optimizer=SETTINGS["optimizer"] | {"eps": eps}, kl={"coefficient": kl})
        scale_reference(run, 1 + 1e-6)  # as other kernels round
        return run

    row = ready("healthy", 1e-8).run(lambda *_: None).metrics[quiet]
    rms = row["grad_rms"] * min(1.0, 1.0 / row["grad_norm"])
    assert rms > 0
    assert steps_before_the_end(ready("above", 1.1 * rms), "train.optimizer.eps is .* first gradient's RMS") == quiet
    assert ready("below", 0.9 * rms).run(lambda *_: None).steps_done == STEPS


def rows_left(run: GRPOTrainer, step: int, match: str) -> list[TraceRow]:
    """Rows of the file that the error names."""
    path = f"scratch/stopped/step-{step:06d}.parquet"
    steps_before_the_end(run, rf"{match}.*completions are in {run.artifact.uri}/{path}")
    return rows_from_parquet(run.artifact.read_bytes(path), TraceRow)


def test_the_completions_that_stopped_a_run_are_kept(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else tells them: rows are written at checkpoints, and step 3 never gets to one."""
    change_rollouts(monkeypatch, shifted, range(3, STEPS), ("rollout",))
    run = start(logprob_check_every_steps=1)
    rows = rows_left(run, 3, "differ by 0.1 nats")
    assert len(rows) == 4 * 4
    assert {(row.run, row.arm, row.step, row.staleness_steps) for row in rows} == {("0" * 20, "arm", 3, 0)}
    assert all(row.text and row.completion_tokens and math.isnan(row.advantage) for row in rows)
    gaps = [(row.logprob_sum_trainer - row.logprob_sum_sampler) / row.completion_tokens for row in rows]
    assert gaps == pytest.approx([0.1] * len(rows), abs=1e-4)


def test_where_a_probe_stopped_the_run_its_completions_are_kept(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    change_rollouts(monkeypatch, shifted, range(3, STEPS), ("agreement",))
    rows = rows_left(start(logprob_check_every_steps=1, rollout={"max_staleness_steps": 1}), 3, "differ by 0.1 nats")
    assert {(row.problem_id, row.staleness_steps) for row in rows} == {(f"toy/validation{i}", 0) for i in (1, 2, 3)}


def test_so_are_those_of_an_update_that_stopped_the_run(start_with_dropout: Start) -> None:
    rows = rows_left(start_with_dropout(), 0, "the importance ratio")
    assert [row.logprob_sum_trainer for row in rows] == pytest.approx(
        [row.logprob_sum_sampler for row in rows], abs=1e-3
    )


@pytest.fixture
def train_stage(tmp_path: Path, make_model: Any, byte_tokenizer: Any) -> Callable[[str, str], Outcome]:
    """`train_stage(text, sent)`: training on a prompt of this text whose tokens are those of `sent`."""
    tokenizer = copy.deepcopy(byte_tokenizer)
    tokenizer.backend_tokenizer.add_special_tokens([AddedToken("<|eot_id|>", special=True)])
    folder = tmp_path / "model"
    make_model(vocab_size=259).save_pretrained(folder)
    tokenizer.save_pretrained(folder)

    def run(text: str, sent: str) -> Outcome:
        tokens = tokenizer.encode(sent, add_special_tokens=False)
        rows = [PromptRow(f"toy/{i}", "toy", split, "q", "1", "all", text, tokens) for i, split in enumerate(SPLITS)]
        store = FileStore(tmp_path / "store")
        prepare, train = Artifact(store, "prepare", "1" * 20), Artifact(store, "train", "0" * 20)
        prepare.write_bytes(PROMPTS, rows_to_parquet(rows, PromptRow))
        spec = TrainStage(
            prepare="prepare/" + prepare.key,
            curriculum=None,
            model=ModelSpec(path=str(folder), kind="base"),
            tasks=(TASK,),
            train=TrainSpec(steps=1, prompts_per_step=1, samples_per_prompt=2),
            verifier_versions={},
            seed=0,
            label="arm/seed0",
        )
        return run_train(spec, Work(store, train, Runtime(device="cpu", threads=1), SilentProgress("train")))

    return run


def test_prompts_that_are_what_the_task_rendered_are_trained_on(train_stage: Any) -> None:
    assert train_stage("q1", "q1").metrics["steps_done"] == 1


def test_prompt_tokens_of_another_text_stop_the_run(train_stage: Any) -> None:
    """F05"""
    with pytest.raises(InvariantError, match=r"toy/0: its tokens decode to '2' at character 1.*F05"):
        train_stage("q1", "q2")


@pytest.mark.parametrize(("text", "token"), [("q1<|end|>", 256), ("q1<|eot_id|>", 258)])
def test_a_special_token_in_a_base_models_prompt_stops_the_run(train_stage: Any, text: str, token: int) -> None:
    """F02; <|end|> has a role, <|eot_id|> none, as in Llama 3."""
    with pytest.raises(InvariantError, match=rf"toy/0: a completion prompt holds special tokens \[{token}\]"):
        train_stage(text, text)
