"""One GRPO step beside TRL's GRPOTrainer: same model, prompts, samples, token budget, optimizer, KL, threads, same run.

    pip install 'assay[train]' accelerate datasets 'trl==1.16.0'
    python benchmarks/grpo_step.py --threads 2

Both sample at temperature 1 from the whole distribution until the end-of-sequence token or the budget, score with the
same function of the text, and make one AdamW update with k3 KL to a reference. TRL generates with transformers, as it
does without vLLM. The first step of each is a warm-up; the table holds medians of the rest. Figures are of one
machine on one day: compare columns, not runs.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LEARNING_RATE, KL, WARMUP_STEPS = 1e-5, 0.01, 1


@dataclass(frozen=True)
class Work:
    """What both do in a step."""

    model: Path
    prompts: int
    samples: int
    tokens: int
    steps: int
    micro_batches: int

    @property
    def texts(self) -> list[str]:
        """Prompts of one to four terms, another set for every step."""
        sums = [
            " + ".join(str(3 + (i * 7 + t) % 90) for t in range(2 + i % 3)) for i in range(self.prompts * self.steps)
        ]
        return [f"Question: What is {total}?\nAnswer:" for total in sums]


@dataclass(frozen=True)
class Step:
    """One measured step."""

    seconds: float
    generation_seconds: float
    tokens: float


def score(text: str) -> float:
    """A reward with a spread within most groups: the share of even characters."""
    return sum(ord(letter) % 2 == 0 for letter in text) / max(1, len(text))


class ScorePool:
    """`score` in the place of a verifier."""

    def score(self, _: str, pairs: Sequence[tuple[str, str]], **__: Any) -> list[Any]:
        from assay.contracts.records import Verdict

        return [Verdict("correct", score(text)) for text, _ in pairs]


def assay_steps(work: Work) -> list[Step]:
    """Through `assay.training.loop.GRPOTrainer`, as the train stage runs it."""
    import torch

    from assay.contracts.ablation import ModelSpec
    from assay.contracts.records import PromptRow
    from assay.contracts.task import TaskSpec
    from assay.contracts.training import TrainSpec
    from assay.curriculum.schedule import make_schedule
    from assay.sampling.models import load_model, load_tokenizer
    from assay.sampling.torch_engine import TorchSampler
    from assay.storage import open_store
    from assay.storage.artifacts import Artifact
    from assay.training.loop import GRPOTrainer, RunIdentity
    from assay.training.policy import Policy
    from assay.training.rollout import RolloutCollector

    spec = TrainSpec.model_validate(
        {
            "steps": work.steps,
            "prompts_per_step": work.prompts,
            "samples_per_prompt": work.samples,
            "optimizer": {"learning_rate": LEARNING_RATE, "warmup_steps": WARMUP_STEPS},
            "kl": {"coefficient": KL},
            "guards": {},
            "micro_batch_tokens": work.prompts * work.samples * work.tokens // work.micro_batches,
            "checkpoint_every_steps": work.steps,
            "validate_every_steps": work.steps,
        }
    )
    task = TaskSpec.model_validate(
        {
            "name": "sums",
            "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
            "prompt": "{question}",
            "max_completion_tokens": work.tokens,
        }
    )
    start = ModelSpec(path=str(work.model), kind="base")
    model, tokenizer = load_model(start, torch.device("cpu")), load_tokenizer(start)
    rows = [
        PromptRow(f"sums/{i}", "sums", "train", text, "", "all", text, tokenizer.encode(text, add_special_tokens=False))
        for i, text in enumerate(work.texts)
    ]
    pool: Any = ScorePool()
    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            RunIdentity("arm", 0),
            spec,
            Policy(model, spec.optimizer, spec.temperature, spec.micro_batch_tokens),
            RolloutCollector(TorchSampler(model, tokenizer, 512), pool, {"sums": task}, spec, 0),
            make_schedule(rows, None, spec, 0),
            rows[:1],
            Artifact(open_store(folder), "train", "0" * 20),
        )
        metrics = trainer.run(lambda *_: None).metrics
    laps = [
        (m["sample_s"], m["score_s"], m["update_s"], m["completion_tokens_mean"] * m["samples"])
        for m in metrics.values()
    ]
    return [Step(sample + scoring + update, sample, tokens) for sample, scoring, update, tokens in laps]


def trl_steps(work: Work) -> list[Step]:
    """Through `trl.GRPOTrainer`, one optimizer step to one generation."""
    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    class Clock(TrainerCallback):
        def __init__(self) -> None:
            self.began = 0.0
            self.seconds: list[float] = []

        def on_step_begin(self, *_: Any, **__: Any) -> None:
            self.began = time.perf_counter()

        def on_step_end(self, *_: Any, **__: Any) -> None:
            self.seconds.append(time.perf_counter() - self.began)

    generations: list[tuple[float, float]] = []

    class TimedTrainer(GRPOTrainer):
        def _generate_single_turn(self, *args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            made = super()._generate_single_turn(*args, **kwargs)
            generations.append((time.perf_counter() - began, float(sum(map(len, made[0])))))
            return made

    def reward(completions: list[str], **_: Any) -> list[float]:
        return [score(text) for text in completions]

    clock = Clock()
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
            beta=KL,
            loss_type="grpo",
            gradient_checkpointing=False,
            bf16=False,
            use_cpu=True,
            seed=0,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = TimedTrainer(
            model=AutoModelForCausalLM.from_pretrained(work.model),
            processing_class=AutoTokenizer.from_pretrained(work.model, padding_side="left"),
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": work.texts}),
            callbacks=[clock],
        )
        trainer.train()
    return [Step(seconds, *made) for seconds, made in zip(clock.seconds, generations, strict=True)]


def row(name: str, steps: list[Step]) -> str:
    """Medians over all steps but the first."""
    measured = steps[1:]
    rate = statistics.median(step.tokens / step.generation_seconds for step in measured)
    generation = statistics.median(step.generation_seconds for step in measured)
    seconds = statistics.median(step.seconds for step in measured)
    tokens = statistics.median(step.tokens for step in measured)
    return f"| {name} | {tokens:,.0f} | {rate:,.0f} | {generation:.2f} | {seconds - generation:.2f} | {seconds:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "sums-500k", help="a model directory")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=80, help="token budget of a completion")
    parser.add_argument("--steps", type=int, default=5, help="the first is a warm-up")
    parser.add_argument("--micro-batches", type=int, default=4, help="gradient accumulation, about that many in both")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import torch

    torch.set_num_threads(args.threads)
    work = Work(args.model, args.prompts, args.samples, args.tokens, args.steps, args.micro_batches)
    rows = [row("Assay", assay_steps(work)), row("TRL", trl_steps(work))]
    versions = ", ".join(f"{name} {version(name)}" for name in ("assay", "trl", "transformers", "torch"))
    print(f"\n{versions}; Python {platform.python_version()}; {args.threads} thread(s) of {os.cpu_count()} cores")
    print(f"{work.prompts} prompts x {work.samples} samples, at most {work.tokens} tokens, {args.model.name}\n")
    print("| | tokens/step | generation, tokens/s | generation, s | score and update, s | step, s |")
    print("|---|---:|---:|---:|---:|---:|")
    print("\n".join(rows))


if __name__ == "__main__":
    main()
