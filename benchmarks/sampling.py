"""Writing completions: Assay's two engines beside transformers' `generate`, the same work in the same process.

    pip install 'assay[train,serve]'
    python benchmarks/sampling.py --threads 2 --json benchmarks/results/sampling.json

All write from the same prompts at temperature 1 from the whole distribution, in fp32, until the end-of-sequence token
or the budget; Assay's engines with the log-prob of every token. The model is random, so that hardly any completion ends
early and all do the same number of steps. They take turns; each turn has prompts of its own, so that no prompt is found
in vLLM's cache. Figures are medians over the turns, after one that is not counted: compare rows, not runs. Where vLLM
is not installed its row is missing. The seconds to hand vLLM new weights hold reading them from the model's files and
the comparison of log-probs.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TOKENIZER = ROOT / "models" / "sums-500k"
Turn = Callable[[list[Any]], int]
"""Write the completions of these requests; how many tokens they have."""


def random_model(folder: str, hidden: int, layers: int) -> Path:
    """A Qwen3 of some width with the quickstart's tokenizer, as Hugging Face writes it."""
    import torch
    from transformers import AutoConfig, AutoTokenizer, Qwen3ForCausalLM

    config = AutoConfig.from_pretrained(TOKENIZER)
    shape = {"hidden_size": hidden, "intermediate_size": 3 * hidden, "num_hidden_layers": layers}
    heads = {"num_attention_heads": hidden // 32, "num_key_value_heads": max(1, hidden // 64), "head_dim": 32}
    config.update(shape | heads | {"layer_types": ["full_attention"] * layers, "max_position_embeddings": 4096})
    torch.manual_seed(0)
    Qwen3ForCausalLM(config).save_pretrained(folder)
    AutoTokenizer.from_pretrained(TOKENIZER).save_pretrained(folder)
    return Path(folder)


def requests(turn: int, args: argparse.Namespace) -> list[Any]:
    """Every prompt of a turn, so many times each."""
    from assay.contracts.sampling import SampleRequest
    from assay.contracts.seeds import derive

    def prompt(place: int) -> tuple[int, ...]:
        return tuple(2 + (turn * 7 + place * 3 + position * position) % 280 for position in range(args.prompt_tokens))

    rows = [(place, index) for place in range(args.prompts) for index in range(args.samples)]
    return [SampleRequest(prompt(p), derive("benchmark", turn, p, i), args.tokens, 1.0) for p, i in rows]


def by_assay(sampler: Any) -> Turn:
    """Either engine."""
    return lambda asked: sum(len(completion.tokens) for completion in sampler.generate(asked))


def by_transformers(model: Any, pad: int) -> Turn:
    """One batch, as all prompts are of one length."""
    import torch

    def write(asked: list[Any]) -> int:
        prompts_BT = torch.tensor([request.prompt_tokens for request in asked], device=model.device)
        written_BT = model.generate(
            prompts_BT,
            attention_mask=torch.ones_like(prompts_BT),
            max_new_tokens=asked[0].max_tokens,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=pad,
        )[:, prompts_BT.shape[1] :]
        return int((written_BT != pad).sum())

    return write


def engines(path: Path, args: argparse.Namespace) -> dict[str, Turn]:
    """Name -> engine; vLLM last, as it takes over the process's thread settings."""
    from assay.contracts.ablation import ModelSpec
    from assay.contracts.stage import Runtime
    from assay.sampling.engines import Samplers
    from assay.sampling.models import load_model, load_tokenizer, pick_device

    spec, runtime = ModelSpec(path=str(path), kind="base"), Runtime(threads=args.threads, device=args.device)
    model, pad = load_model(spec, pick_device(runtime)), load_tokenizer(spec).pad_token_id
    found = {"transformers generate": by_transformers(model, pad)}
    for kind in ("torch", "vllm") if find_spec("vllm") else ("torch",):
        samplers = Samplers(runtime.model_copy(update={"sampler": kind}), 1, requests(0, args)[:4])
        found[f"Assay, {kind}"] = by_assay(samplers.of(spec))
    return found | ({"weights to vLLM": handing_over(samplers, spec)} if samplers.engine else {})


def handing_over(samplers: Any, spec: Any) -> Turn:
    """New weights, and no token."""

    def write(_: list[Any]) -> int:
        samplers.of(spec)
        return 0

    return write


def measure(found: dict[str, Turn], args: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Medians of seconds and of tokens a second, over turns taken one after the other."""
    seconds: dict[str, list[float]] = {name: [] for name in found}
    tokens: dict[str, list[int]] = {name: [] for name in found}
    for turn in range(args.turns + 1):
        for name, write in found.items():
            asked = requests(turn, args)
            began = time.perf_counter()
            tokens[name].append(write(asked))
            seconds[name].append(time.perf_counter() - began)
    pairs = {name: list(zip(tokens[name], seconds[name], strict=True))[1:] for name in found}
    return {
        name: {
            "seconds": statistics.median(s for _, s in pair),
            "tokens_per_second": statistics.median(t / s for t, s in pair),
        }
        for name, pair in pairs.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--prompt-tokens", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=64, help="token budget of a completion")
    parser.add_argument("--hidden", type=int, default=256, help="width of the model, a multiple of 64")
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        figures = measure(engines(random_model(folder, args.hidden, args.layers), args), args)
    names = [name for name in ("assay", "vllm", "transformers", "torch") if find_spec(name)]
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    machine = f"{versions}; Python {platform.python_version()}; {args.threads} thread(s) of {os.cpu_count()} cores"
    print(f"\n{machine}\n{args.prompts} prompts x {args.samples} samples x {args.tokens} tokens, width {args.hidden}\n")
    print("| engine | seconds | tokens/s |\n|---|---|---|")
    for name, row in figures.items():
        rate = f"{row['tokens_per_second']:,.0f}" if row["tokens_per_second"] else ""
        print(f"| {name} | {row['seconds']:.2f} | {rate} |")
    if args.json:
        settings = {name: str(value) for name, value in vars(args).items()}
        args.json.write_text(json.dumps({"machine": machine, "settings": settings, "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
