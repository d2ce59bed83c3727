"""One GRPO step beside TRL's GRPOTrainer: same model, prompts, samples, token budget, optimizer, KL, threads, same run.

    pip install 'assay[train]' accelerate datasets 'trl==1.16.0'
    python benchmarks/grpo_step.py --threads 2 --growth --json benchmarks/results/grpo_step.json
    python benchmarks/grpo_step.py --shape qwen3-1.7b --prompts 8 --tokens 256     # on a GPU, in bf16

Both see the same prompts in every step, sample at temperature 1 from the whole distribution until the end-of-sequence
token or the budget, score with the same function of the text, and make one AdamW update, clipped at norm 1, with k3 KL
to a reference, in the same precision, with PyTorch's attention, over as many micro-batches. TRL generates with
transformers, as it does without vLLM (TRL 1.16 and Assay want different versions of that), and without gradient
checkpointing; Assay with its torch engine. Before the clock starts, rollouts of TRL's second step are given to Assay's
update with the weights of that moment: in fp32 the gradients must be the same.

bf16 is each one's own: TRL's is autocast over fp32 weights, Assay's is DeepSpeed's, bf16 weights beside fp32 ones.

The two take turns, each from the start model; the first step of a turn is a warm-up, and so is Assay's last, which also
validates and writes a checkpoint. Figures are medians over the other steps, of one machine on one day: compare columns,
not runs. The last line is Assay's step over TRL's.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
LEARNING_RATE, KL = 1e-5, 0.01
SAME_GRADIENT = 1e-3
"""Largest distance between the two gradients, as a share of their length: fp32 in other micro-batches."""
PARTS = ("sampling", "scoring", "old log-probs", "reference", "update", "weight sync", "other")
SIZES = {"0.5 M": 128, "2 M": 256, "8 M": 512}
SHAPES = {
    "smollm2-135m": (576, 1536, 30, 9, 3, 64, 49_152),
    "qwen3-0.6b": (1024, 3072, 28, 16, 8, 128, 151_936),
    "qwen3-1.7b": (2048, 6144, 28, 16, 8, 128, 151_936),
}
"""Of public models: width, width of the MLP, layers, heads, key-value heads, width of a head, vocabulary."""


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


def assay_steps(work: Work) -> list[Step]:
    """Through `assay.training.loop.GRPOTrainer`, as the train stage runs it."""
    import torch

    from assay.contracts.scale import Scale
    from assay.contracts.training import EngineSpec
    from assay.training.engines import training_world

    world = training_world(EngineSpec(dtype=work.dtype), Scale(), torch.device(work.device))
    with own_environment(), tempfile.TemporaryDirectory() as folder, world as joined:
        trainer, ledger = assay_trainer(work, folder, joined), Ledger()
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
    sampler = training_sampler(start, model, tokenizer, spec, Runtime(device=work.device, sampler="torch"))
    policy = make_policy(model, spec, Scale(), world)
    collector = RolloutCollector(sampler, ScorePool(work), {"sums": task}, spec, 0)  # type: ignore[arg-type]
    schedule = make_schedule(rows, None, spec, 0)
    producer = Producer(collector, sampler, schedule, policy.named_weights, lambda *_: [], spec.steps)
    artifact = Artifact(open_store(folder), "train", "0" * 20)
    return GRPOTrainer(RunIdentity("arm", 0), spec, policy, producer, rows[:1], artifact)


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


def take_turns(work: Work, rounds: int) -> dict[str, Step]:
    """Medians of both."""
    found: dict[str, list[Step]] = {"Assay": [], "TRL": []}
    for _ in range(rounds):
        found["Assay"] += assay_steps(work)
        gc.collect()
        found["TRL"] += trl_steps(work)
        gc.collect()
    return {name: median(steps) for name, steps in found.items()}


def median(steps: Sequence[Step]) -> Step:
    parts = {part: statistics.median(step.parts.get(part, 0.0) for step in steps) for part in PARTS}
    figures = (statistics.median(getattr(step, name) for step in steps) for name in ("seconds", "tokens", "longest"))
    return Step(*figures, parts)


@contextmanager
def random_model(work: Work, **shape: Any) -> Iterator[Work]:
    """The same work with random weights of another shape: they end a completion seldom, so lengths are the budget's."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(work.model)
    config.update(shape)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        AutoModelForCausalLM.from_config(config).save_pretrained(folder)
        write_tokenizer(work.model, Path(folder), config.vocab_size)
        yield replace(work, model=Path(folder))


def write_tokenizer(source: Path, folder: Path, vocabulary: int) -> None:
    """A tokenizer with words beyond its own, none of which a text is cut into: every id that is drawn is text."""
    told = json.loads((source / "tokenizer.json").read_text())
    known = told["model"]["vocab"]
    known.update({f"w{number}": number for number in range(len(known), vocabulary)})
    (folder / "tokenizer.json").write_text(json.dumps(told))
    (folder / "tokenizer_config.json").write_text((source / "tokenizer_config.json").read_text())


def of_width(hidden: int) -> dict[str, int]:
    return {"hidden_size": hidden, "intermediate_size": 5 * hidden // 2, "num_attention_heads": hidden // 32}


def of_public_model(name: str) -> dict[str, Any]:
    """A Qwen3 with the widths of a public model."""
    hidden, mlp, layers, heads, kv_heads, head, vocabulary = SHAPES[name]
    shape = {"hidden_size": hidden, "intermediate_size": mlp, "num_hidden_layers": layers}
    attention = {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head}
    rest = {"vocab_size": vocabulary, "max_position_embeddings": 4096}
    return shape | attention | rest | {"layer_types": ["full_attention"] * layers}


def growth(work: Work, rounds: int) -> dict[str, dict[str, dict[str, Step]]]:
    """Tables of how a step grows, on less work than the main one."""
    small = replace(work, prompts=8, steps=3, micro_batches=2)
    tables: dict[str, dict[str, dict[str, Step]]] = defaultdict(dict)
    for samples in (4, 8, 16, 32):
        tables["completions per prompt"][str(samples)] = take_turns(replace(small, samples=samples), rounds)
    for tokens in (32, 64, 128, 256):
        with random_model(replace(small, tokens=tokens), **of_width(SIZES["0.5 M"])) as made:
            tables["token budget (random weights)"][str(tokens)] = take_turns(made, rounds)
    for name, hidden in SIZES.items():
        with random_model(replace(small, tokens=64), **of_width(hidden)) as made:
            tables["parameters (random weights)"][name] = take_turns(made, rounds)
    for score_ms in (0.0, 2.0, 5.0):
        tables["ms to wait for a score"][f"{score_ms:g}"] = take_turns(replace(small, score_ms=score_ms), rounds)
    return tables


def breakdown(medians: dict[str, Step]) -> str:
    head = ["", "tokens", "longest", *PARTS, "step, s"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for name, step in medians.items():
        parts = (f"{step.parts[part]:.3f}" for part in PARTS)
        lines.append(f"| {name} | {step.tokens:,.0f} | {step.longest:.0f} | {' | '.join(parts)} | {step.seconds:.2f} |")
    return "\n".join(lines)


def growth_table(title: str, rows: dict[str, dict[str, Step]]) -> str:
    head = f"| {title} | Assay, tokens | TRL, tokens | Assay, s | TRL, s | ratio | Assay, scoring s | TRL, scoring s |"
    lines = [head, "|---|" + "---:|" * 7]
    for name, medians in rows.items():
        a, t = medians["Assay"], medians["TRL"]
        scoring = f"{a.parts['scoring']:.3f} | {t.parts['scoring']:.3f}"
        figures = f"{a.tokens:,.0f} | {t.tokens:,.0f} | {a.seconds:.2f} | {t.seconds:.2f} | {ratio(medians):.2f}"
        lines.append(f"| {name} | {figures} | {scoring} |")
    return "\n".join(lines)


def ratio(medians: dict[str, Step]) -> float:
    return medians["Assay"].seconds / medians["TRL"].seconds


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=ROOT / "models" / "sums-500k", help="a model directory")
    parser.add_argument("--shape", choices=SHAPES, help="random weights of a public model's shape instead")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--dtype", choices=("fp32", "bf16"), help="left out: bf16 on a GPU, else fp32")
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--tokens", type=int, default=80, help="token budget of a completion")
    parser.add_argument("--steps", type=int, default=5, help="of each turn; the first is a warm-up")
    parser.add_argument("--rounds", type=int, default=2, help="turns of each")
    parser.add_argument("--micro-batches", type=int, default=4, help="gradient accumulation, about that many in both")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--growth", action="store_true", help="also samples, lengths, sizes and slow scores")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    return parser.parse_args()


def asked_work(args: argparse.Namespace) -> Work:
    from assay.contracts.stage import Runtime
    from assay.sampling.models import pick_device

    device = pick_device(Runtime(device=args.device, threads=args.threads)).type
    dtype = args.dtype or ("bf16" if device == "cuda" else "fp32")
    return Work(args.model, args.prompts, args.samples, args.tokens, args.steps, args.micro_batches, device, dtype)


def machine(work: Work, threads: int) -> str:
    import torch

    names = ", ".join(f"{name} {version(name)}" for name in ("assay", "trl", "transformers", "torch"))
    gpu = torch.cuda.get_device_name() if work.device == "cuda" else "no GPU"
    return f"{names}; Python {platform.python_version()}; {gpu}; {threads} thread(s) of {os.cpu_count()} cores"


def as_json(args: argparse.Namespace, work: Work, apart: float, medians: dict[str, Step], tables: Any) -> str:
    growth = {
        name: {size: {who: asdict(step) for who, step in both.items()} for size, both in rows.items()}
        for name, rows in tables.items()
    }
    told = {
        "machine": machine(work, args.threads),
        "settings": {name: str(value) for name, value in vars(args).items()},
        "gradients_apart": apart,
        "step": {who: asdict(step) for who, step in medians.items()},
        "growth": growth,
    }
    return json.dumps(told, indent=1)


def main() -> None:
    args = options()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    asked = asked_work(args)
    with random_model(asked, **of_public_model(args.shape)) if args.shape else nullcontext(asked) as work:
        apart = gradients_apart(work)
        if not apart <= SAME_GRADIENT:
            raise SystemExit(f"the gradients of the same rollouts are {apart:.1e} apart: this would compare other work")
        medians = take_turns(work, args.rounds)
        tables = growth(work, 1) if args.growth else {}
    size = f"{work.prompts} prompts x {work.samples} samples, at most {work.tokens} tokens"
    print(f"\n{machine(work, args.threads)}\n{size}, {args.shape or args.model.name}, {work.dtype}")
    print(f"same rollouts, same weights: fp32 gradients {apart:.1e} apart\n\n{breakdown(medians)}\n")
    print("\n\n".join(growth_table(*table) for table in tables.items()))
    if args.json:
        args.json.write_text(as_json(args, work, apart, medians, tables))
    print(f"ratio {ratio(medians):.2f}")


if __name__ == "__main__":
    main()
