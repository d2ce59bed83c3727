"""A GRPO step by Assay and by TRL's GRPOTrainer, on the same work, with the seconds of their parts."""

from __future__ import annotations

import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

LEARNING_RATE, KL = 1e-5, 0.01


@dataclass(frozen=True)
class Work:
    """What both do in a step."""

    model: Path
    prompts: int = 32
    samples: int = 8
    tokens: int = 80
    steps: int = 5
    micro_batches: int = 4
    device: str = "cpu"
    dtype: str = "fp32"
    score_ms: float = 0.0
    """What scoring a completion waits for, as it does for a sandbox or a model behind an endpoint."""

    @property
    def texts(self) -> list[str]:
        """Prompts of two to four terms."""
        sums = [" + ".join(str(3 + (i * 7 + t) % 90) for t in range(2 + i % 3)) for i in range(self.prompts)]
        return [f"Question: What is {total}?\nAnswer:" for total in sums]

    def score(self, text: str) -> float:
        """A reward with a spread within most groups: the share of even characters."""
        time.sleep(self.score_ms / 1000)
        return sum(ord(letter) % 2 == 0 for letter in text) / max(1, len(text))


def now() -> float:
    """Seconds, once a GPU has done all that it was given."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


@dataclass
class Step:
    """One measured step, and what its seconds went into."""

    seconds: float = 0.0
    tokens: float = 0.0
    longest: float = 0.0
    parts: dict[str, float] = field(default_factory=lambda: defaultdict(float))

    def close(self, seconds: float) -> None:
        self.seconds = seconds
        self.parts["other"] = seconds - sum(self.parts.values())


class Ledger:
    """Steps as they are measured; `timed` puts a method's seconds under a part of the present step."""

    def __init__(self) -> None:
        self.steps = [Step()]
        self.inner = 0.0

    def timed(self, thing: Any, method: str, part: Callable[..., str]) -> None:
        """Nested parts are taken off the outer one."""
        original = getattr(thing, method)

        def measured(*args: Any, **kwargs: Any) -> Any:
            began, outer, self.inner = now(), self.inner, 0.0
            try:
                return original(*args, **kwargs)
            finally:
                seconds = now() - began
                self.steps[-1].parts[part(*args, **kwargs)] += seconds - self.inner
                self.inner = outer + seconds

        setattr(thing, method, measured)

    def wrote(self, lengths: Sequence[int]) -> None:
        self.steps[-1].tokens += sum(lengths)
        self.steps[-1].longest = max(lengths)

    def close(self, seconds: float) -> None:
        self.steps[-1].close(seconds)
        self.steps.append(Step())
        self.inner = 0.0


class ScorePool:
    """`Work.score` in the place of a verifier."""

    def __init__(self, work: Work) -> None:
        self.work = work

    def score(self, _: str, pairs: Sequence[tuple[str, str]], **__: Any) -> list[Any]:
        from assay.contracts.records import Verdict

        return [Verdict("correct", self.work.score(text)) for text, _ in pairs]


def train_spec(work: Work, micro_batch_tokens: int) -> Any:
    from assay.contracts.training import TrainSpec

    return TrainSpec.model_validate(
        {
            "steps": work.steps + 1,
            "prompts_per_step": work.prompts,
            "samples_per_prompt": work.samples,
            "optimizer": {"learning_rate": LEARNING_RATE, "warmup_steps": 0, "max_grad_norm": 1.0},
            "kl": {"coefficient": KL},
            "guards": {},
            "engine": {"dtype": work.dtype},
            "micro_batch_tokens": micro_batch_tokens,
            "checkpoint_every_steps": work.steps + 1,
            "validate_every_steps": work.steps + 1,
        }
    )


def assay_steps(work: Work, world: Any) -> list[Step]:
    """Through `assay.training.loop.GRPOTrainer`, as the train stage runs it, in a `training_world`."""
    with own_environment(), tempfile.TemporaryDirectory() as folder:
        trainer, ledger = assay_trainer(work, folder, world), Ledger()
        model = trainer.policy.model
        ledger.timed(trainer.producer.collector, "collect", lambda *_: "scoring")
        ledger.timed(trainer.producer.sampler, "generate", lambda *_: "sampling")
        ledger.timed(trainer.producer.sampler, "update_weights", lambda *_: "weight sync")
        ledger.timed(trainer.policy, "logprobs", lambda _, scored: "old log-probs" if scored is model else "reference")
        ledger.timed(trainer, "_learn", lambda *_: "update")
        began = now()

        def report(_: int, metrics: dict[str, float]) -> None:
            nonlocal began
            ledger.steps[-1].tokens = metrics["completion_tokens_mean"] * metrics["samples"]
            ledger.steps[-1].longest = metrics["completion_tokens_max"]
            ledger.close(now() - began)
            began = now()

        trainer.run(report)
    return ledger.steps[1:-2]


@contextmanager
def own_environment() -> Iterator[None]:
    """What DeepSpeed tells of a world of one process would have TRL look for others."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


def assay_trainer(work: Work, folder: str, world: Any) -> Any:
    import torch

    from assay.contracts.ablation import ModelSpec
    from assay.contracts.records import PromptRow
    from assay.contracts.scale import Scale
    from assay.contracts.stage import Runtime
    from assay.contracts.task import TaskSpec
    from assay.curriculum.schedule import make_schedule
    from assay.sampling.engines import training_sampler
    from assay.sampling.models import load_model, load_tokenizer
    from assay.storage import open_store
    from assay.storage.artifacts import Artifact
    from assay.training.engines import make_policy, prepare
    from assay.training.loop import GRPOTrainer
    from assay.training.producer import Producer
    from assay.training.record import RunIdentity
    from assay.training.rollout import RolloutCollector

    task = TaskSpec.model_validate(
        {
            "name": "sums",
            "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
            "prompt": "{question}",
            "max_completion_tokens": work.tokens,
        }
    )
    start = ModelSpec(path=str(work.model), kind="base")
    model, tokenizer = load_model(start, torch.device(work.device)), load_tokenizer(start)
    rows = [
        PromptRow(f"sums/{i}", "sums", "train", text, "", "all", text, tokenizer.encode(text, add_special_tokens=False))
        for i, text in enumerate(work.texts)
    ]
    longest = max(len(row.prompt_tokens) for row in rows)
    spec = train_spec(work, work.prompts * work.samples * (longest + work.tokens // 2) // work.micro_batches)
    model = prepare(model, spec.engine, Scale())
    sampler = training_sampler(start, model, tokenizer, spec, Runtime(device=work.device, sampler="torch"), ())
    policy = make_policy(model, spec, Scale(), world)
    collector = RolloutCollector(sampler, ScorePool(work), {"sums": task}, spec, 0)  # type: ignore[arg-type]
    schedule = make_schedule(rows, None, spec, 0)
    producer = Producer(collector, sampler, schedule, policy.named_weights, lambda *_: [], spec.steps)
    artifact = Artifact(open_store(folder), "train", "0" * 20)
    return GRPOTrainer(RunIdentity(artifact.key, "arm", 0), spec, policy, producer, rows[:1], artifact)


@contextmanager
def trl_trainer(work: Work, callback: Any) -> Iterator[Any]:
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import GRPOConfig, GRPOTrainer

    def reward(completions: list[str], **_: Any) -> list[float]:
        return [work.score(text) for text in completions]

    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            max_steps=work.steps,
            per_device_train_batch_size=work.prompts * work.samples // work.micro_batches,
            gradient_accumulation_steps=work.micro_batches,
            num_generations=work.samples,
            max_completion_length=work.tokens,
            learning_rate=LEARNING_RATE,
            lr_scheduler_type="constant",
            max_grad_norm=1.0,
            beta=KL,
            loss_type="grpo",
            use_bias_correction_kl=False,
            gradient_checkpointing=False,
            bf16=work.dtype == "bf16",
            use_cpu=work.device == "cpu",
            seed=0,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        yield GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(work.model, attn_implementation="sdpa"),
            processing_class=AutoTokenizer.from_pretrained(work.model, padding_side="left"),
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": work.texts}),
            callbacks=[callback],
        )


def trl_steps(work: Work) -> list[Step]:
    """Through `trl.GRPOTrainer`, one optimizer step to one generation."""
    import torch
    from transformers import TrainerCallback

    ledger = Ledger()

    class Clock(TrainerCallback):
        began = 0.0

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = now()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ledger.close(now() - self.began)

    with trl_trainer(work, Clock()) as trainer:
        generate = trainer._generate_single_turn

        def counted(*args: Any, **kwargs: Any) -> Any:
            made = generate(*args, **kwargs)
            ledger.wrote([len(tokens) for tokens in made[0]])
            return made

        trainer._generate_single_turn = counted
        ledger.timed(trainer, "_generate_single_turn", lambda *_: "sampling")
        ledger.timed(trainer, "_calculate_rewards", lambda *_: "scoring")
        ledger.timed(
            trainer,
            "_get_per_token_logps_and_entropies",
            lambda *_, **__: "update" if torch.is_grad_enabled() else "reference",
        )
        ledger.timed(trainer, "training_step", lambda *_: "update")
        trainer.train()
    return ledger.steps[1:-1]


def gradients_apart(work: Work) -> float:
    """‖Assay's gradient − TRL's‖ / ‖TRL's‖ in fp32, clipped, of TRL's second step: the reference has then been left."""
    import torch
    from transformers import TrainerCallback

    found: dict[str, Any] = {"micros": []}

    class Keeper(TrainerCallback):
        def on_step_begin(self, *_: Any, model: Any, **__: Any) -> None:
            found["micros"].clear()
            found["weights"] = {name: tensor.clone() for name, tensor in model.state_dict().items()}

        def on_pre_optimizer_step(self, *_: Any, model: Any, **__: Any) -> None:
            found["gradient"] = torch.cat([p.grad.flatten() for p in model.parameters()]).clone()

    work = replace(work, steps=2, dtype="fp32")
    with trl_trainer(work, Keeper()) as trainer:
        compute_loss = trainer.compute_loss

        def kept(model: Any, inputs: Any, **kwargs: Any) -> Any:
            found["micros"].append(inputs)
            return compute_loss(model, inputs, **kwargs)

        trainer.compute_loss = kept
        trainer.train()
    ours = assay_gradient(work, found["micros"], found["weights"])
    return float((ours - found["gradient"]).norm() / found["gradient"].norm())


def assay_gradient(work: Work, micros: Sequence[Any], weights: Any) -> Any:
    """What Assay would hand to AdamW for these rollouts at these weights."""
    import torch

    from assay.training.credit import StepBatch, assign_credit
    from assay.training.update import update_policy
    from assay.training.verdicts import group_sizes
    from assay.training.world import ALONE

    with tempfile.TemporaryDirectory() as folder:
        trainer = assay_trainer(work, folder, ALONE)
    policy, tokenizer = trainer.policy, trainer.producer.sampler.tokenizer
    policy.model.load_state_dict(weights)
    rollouts = sorted(rollouts_of(work, micros, tokenizer), key=lambda rollout: rollout.prompt.id)
    old, reference = policy.logprobs(rollouts, policy.model), policy.logprobs(rollouts, policy.reference)
    rollouts = [
        replace(rollout, completion=replace(rollout.completion, logprobs=tuple(values)))
        for rollout, values in zip(rollouts, old, strict=True)
    ]
    batch = StepBatch(rollouts, group_sizes(rollouts), old, reference, work.tokens)
    kept: list[Any] = []
    policy.optimizer.step = lambda: kept.extend(p.grad.flatten().clone() for p in policy.model.parameters())
    update_policy(policy, batch, assign_credit(batch, trainer.spec).advantages, trainer.spec)
    return torch.cat(kept)


def rollouts_of(work: Work, micros: Sequence[Any], tokenizer: Any) -> Iterator[Any]:
    """TRL's micro-batches as Assay's rollouts."""
    from assay.contracts.records import PromptRow, Verdict
    from assay.contracts.sampling import Completion
    from assay.training.rollout import Rollout

    for micro in micros:
        for prompt, seen, completion, written in zip(
            *(micro[name] for name in ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")), strict=True
        ):
            asked, made = prompt[seen.bool()].tolist(), completion[written.bool()].tolist()
            text = tokenizer.decode(made, skip_special_tokens=True)
            row = PromptRow(str(asked), "sums", "train", "", "", "all", "", asked)
            reward = work.score(text)
            done = Completion(text, tuple(made), (), "stop")
            yield Rollout(row, 0, 0, done, Verdict("correct", reward), {"correct": reward}, reward)
