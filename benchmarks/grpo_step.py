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
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from grpo_sides import Step, Work, assay_steps, gradients_apart, trl_steps

ROOT = Path(__file__).parent.parent
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


def take_turns(work: Work, rounds: int, world: Any) -> dict[str, Step]:
    """Medians of both."""
    found: dict[str, list[Step]] = {"Assay": [], "TRL": []}
    for _ in range(rounds):
        found["Assay"] += assay_steps(work, world)
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
    widths = {"hidden_size": hidden, "intermediate_size": 5 * hidden // 2}
    return widths | {"num_attention_heads": hidden // 32, "max_position_embeddings": 512}


def of_public_model(name: str) -> dict[str, Any]:
    """A Qwen3 with the widths of a public model."""
    hidden, mlp, layers, heads, kv_heads, head, vocabulary = SHAPES[name]
    shape = {"hidden_size": hidden, "intermediate_size": mlp, "num_hidden_layers": layers}
    attention = {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": head}
    rest = {"vocab_size": vocabulary, "max_position_embeddings": 4096}
    return shape | attention | rest | {"layer_types": ["full_attention"] * layers}


def growth(work: Work, rounds: int, world: Any) -> dict[str, dict[str, dict[str, Step]]]:
    """Tables of how a step grows, on less work than the main one."""
    small = replace(work, prompts=8, steps=3, micro_batches=2)
    tables: dict[str, dict[str, dict[str, Step]]] = defaultdict(dict)
    for samples in (4, 8, 16, 32):
        tables["completions per prompt"][str(samples)] = take_turns(replace(small, samples=samples), rounds, world)
    for tokens in (32, 64, 128, 256):
        with random_model(replace(small, tokens=tokens), **of_width(SIZES["0.5 M"])) as made:
            tables["token budget (random weights)"][str(tokens)] = take_turns(made, rounds, world)
    for name, hidden in SIZES.items():
        with random_model(replace(small, tokens=64), **of_width(hidden)) as made:
            tables["parameters (random weights)"][name] = take_turns(made, rounds, world)
    for score_ms in (0.0, 2.0, 5.0):
        tables["ms to wait for a score"][f"{score_ms:g}"] = take_turns(replace(small, score_ms=score_ms), rounds, world)
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


def own_world(work: Work) -> Any:
    """One for all turns: DeepSpeed, which bf16 needs, knows no second."""
    import torch

    from assay.contracts.scale import Scale
    from assay.contracts.training import EngineSpec
    from assay.training.engines import training_world

    return training_world(EngineSpec(dtype=work.dtype), Scale(), torch.device(work.device))


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
        with own_world(work) as world:
            medians = take_turns(work, args.rounds, world)
            tables = growth(work, 1, world) if args.growth else {}
    size = f"{work.prompts} prompts x {work.samples} samples, at most {work.tokens} tokens"
    print(f"\n{machine(work, args.threads)}\n{size}, {args.shape or args.model.name}, {work.dtype}")
    print(f"same rollouts, same weights: fp32 gradients {apart:.1e} apart\n\n{breakdown(medians)}\n")
    print("\n\n".join(growth_table(*table) for table in tables.items()))
    if args.json:
        args.json.write_text(as_json(args, work, apart, medians, tables))
    print(f"ratio {ratio(medians):.2f}")


if __name__ == "__main__":
    main()
