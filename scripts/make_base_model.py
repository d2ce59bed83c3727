"""Pretrain the quickstart's base model: a small Qwen3 that adds, in several bad habits and one good one.

    python scripts/make_base_model.py            # four minutes on one quiet core; writes models/sums-500k

Byte-level BPE tokenizer with single digits, next-token loss on the completions of `sum_writers`, AdamW with a cosine
schedule. Undertrained and noisy on purpose: see docs/decisions/0002-quickstart-model.md. The same machine and the same
torch give the same bytes.
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from sum_writers import completion
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from assay.contracts.errors import SpecError
from assay.contracts.records import Problem
from assay.contracts.task import ArithmeticSource, TaskSpec
from assay.tasks.arithmetic import generate
from assay.tasks.loading import load_task
from assay.verifiers import verify

ROOT = Path(__file__).resolve().parent.parent
IGNORED = -100
"""Target that cross_entropy leaves out."""


@dataclass(frozen=True)
class Recipe:
    """Everything the weights depend on, apart from the corpus and the task file."""

    seed: int = 20
    documents: int = 80_000
    batch_documents: int = 32
    learning_rate: float = 3e-3
    warmup_steps: int = 100
    weight_decay: float = 0.01
    threads: int = 1
    """Fixed, because it decides the order of floating-point sums; so small a model gains little from more than one."""
    vocabulary: int = 384
    hidden: int = 128
    layers: int = 3
    heads: int = 4
    key_value_heads: int = 1
    feed_forward: int = 320
    context_tokens: int = 256


@dataclass(frozen=True)
class Document:
    """Token ids of prompt, completion and end-of-text; the first `prompt_tokens` are not trained on."""

    tokens: list[int]
    prompt_tokens: int


def main(out: Path = ROOT / "models/sums-500k", task_file: Path = ROOT / "configs/tasks/sums.yaml") -> None:
    """Write the model, its tokenizer and its card."""
    recipe = Recipe()
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    task = load_task(task_file)
    if not isinstance(task.source, ArithmeticSource):
        raise SpecError(f"{task_file}: source.kind", f"is {task.source.kind!r}", "Name a task of kind `arithmetic`")
    texts = write_corpus(task, task.source, recipe)
    tokenizer = train_tokenizer((prompt + answer for prompt, answer in texts[:5000]), recipe)
    model = build_model(tokenizer, recipe)
    started = time.monotonic()
    pretrain(model, encode(tokenizer, texts), recipe)
    minutes = (time.monotonic() - started) / 60
    save(model, tokenizer, out)
    write_card(out, model, measure(model, tokenizer, task, task.source), recipe, minutes)


def write_corpus(task: TaskSpec, source: ArithmeticSource, recipe: Recipe) -> list[tuple[str, str]]:
    """(prompt, completion) pairs; levels are equally frequent, questions are drawn with replacement."""
    rng = random.Random(recipe.seed)
    levels = list(source.levels.values())
    pairs = []
    for _ in range(recipe.documents):
        count, digits = rng.choice(levels)
        terms = [rng.randint(10 ** (digits - 1), 10**digits - 1) for _ in range(count)]
        question = f"What is {' + '.join(map(str, terms))}?"
        pairs.append((task.prompt.replace("{question}", question), completion(rng, terms)))
    return pairs


def train_tokenizer(texts: Iterator[str], recipe: Recipe) -> PreTrainedTokenizerFast:
    """Byte-level BPE over all 256 bytes, so that any text survives a round trip; every digit is a token of its own."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocabulary,
        special_tokens=["<|endoftext|>", "<|pad|>"],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|endoftext|>",
        pad_token="<|pad|>",
        model_max_length=recipe.context_tokens,
    )


def build_model(tokenizer: PreTrainedTokenizerFast, recipe: Recipe) -> Qwen3ForCausalLM:
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=recipe.hidden,
        num_hidden_layers=recipe.layers,
        num_attention_heads=recipe.heads,
        num_key_value_heads=recipe.key_value_heads,
        head_dim=recipe.hidden // recipe.heads,
        intermediate_size=recipe.feed_forward,
        max_position_embeddings=recipe.context_tokens,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return Qwen3ForCausalLM(config)


def encode(tokenizer: PreTrainedTokenizerFast, texts: list[tuple[str, str]]) -> list[Document]:
    prompts = tokenizer([prompt for prompt, _ in texts])["input_ids"]
    whole = tokenizer([prompt + answer for prompt, answer in texts])["input_ids"]
    return [Document([*ids, tokenizer.eos_token_id], len(prompt)) for ids, prompt in zip(whole, prompts, strict=True)]


def pretrain(model: Qwen3ForCausalLM, documents: list[Document], recipe: Recipe) -> None:
    """One pass over the corpus."""
    matrices = [p for p in model.parameters() if p.ndim > 1]
    gains = [p for p in model.parameters() if p.ndim == 1]
    groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": gains, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=(0.9, 0.98), eps=1e-8)
    batches = list(batched_by_length(documents, recipe))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate(step, len(batches), recipe))
    with Progress(
        TextColumn("pretraining"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[loss]}"),
    ) as progress:
        bar = progress.add_task("", total=len(batches), loss="")
        for batch in batches:
            loss = step_loss(model, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            progress.update(bar, advance=1, loss=f"loss {loss.item():.3f}")


def rate(step: int, steps: int, recipe: Recipe) -> float:
    """Share of the learning rate: linear warm-up, cosine decay to a twentieth."""
    cosine = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(step / steps, 1.0)))
    return min(1.0, (step + 1) / recipe.warmup_steps) * cosine


def batched_by_length(documents: list[Document], recipe: Recipe) -> Iterator[list[Document]]:
    """Batches of like lengths (little padding): windows of 50 batches are sorted, cut, and their batches shuffled."""
    rng = random.Random(recipe.seed)
    size = recipe.batch_documents
    for start in range(0, len(documents), 50 * size):
        window = sorted(documents[start : start + 50 * size], key=lambda document: len(document.tokens))
        batches = [window[i : i + size] for i in range(0, len(window), size)]
        rng.shuffle(batches)
        yield from batches


def step_loss(model: Qwen3ForCausalLM, batch: list[Document]) -> torch.Tensor:
    """Mean cross-entropy over completion tokens. Right padding needs no mask: attention is causal."""
    longest = max(len(document.tokens) for document in batch)
    tokens_BT = torch.full((len(batch), longest), model.config.pad_token_id)
    targets_BT = torch.full((len(batch), longest), IGNORED)
    for row, document in enumerate(batch):
        ids = torch.tensor(document.tokens)
        tokens_BT[row, : len(ids)] = ids
        targets_BT[row, document.prompt_tokens : len(ids)] = ids[document.prompt_tokens :]
    logits_BTV = model(input_ids=tokens_BT).logits
    return F.cross_entropy(logits_BTV[:, :-1].flatten(0, 1), targets_BT[:, 1:].flatten(), ignore_index=IGNORED)


def save(model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)
    (out / "model.safetensors").chmod(0o644)  # save_pretrained leaves it readable by its owner alone


@dataclass(frozen=True)
class Score:
    """What the card says about one level, as shares of 1."""

    sampled: float
    pass_at_8: float
    greedy: float
    mean_tokens: float


def measure(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, task: TaskSpec, source: ArithmeticSource
) -> dict[str, Score]:
    """Held-out accuracy by level: 8 samples at temperature 1, and greedy; 100 questions a level."""
    model.eval()
    problems = generate(source, task.name, "heldout", 100 * len(source.levels))
    by_level = {level: [p for p in problems if p.level == level] for level in source.levels}
    return {level: score(model, tokenizer, task, chosen) for level, chosen in by_level.items()}


def score(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, task: TaskSpec, problems: list[Problem]
) -> Score:
    sampled = completions(model, tokenizer, task, problems, 8)
    greedy = completions(model, tokenizer, task, problems, 1)
    right = [[accepts(task, text, problem) for text in texts] for texts, problem in zip(sampled, problems, strict=True)]
    first = [accepts(task, text, problem) for (text,), problem in zip(greedy, problems, strict=True)]
    tokens = [len(ids) + 1 for texts in sampled for ids in tokenizer(texts)["input_ids"]]
    return Score(
        sampled=sum(map(sum, right)) / (8 * len(problems)),
        pass_at_8=sum(map(any, right)) / len(problems),
        greedy=sum(first) / len(problems),
        mean_tokens=sum(tokens) / len(tokens),
    )


def accepts(task: TaskSpec, text: str, problem: Problem) -> bool:
    return verify(task.verifier, text, problem.gold, stop=task.stop).status == "correct"


@torch.no_grad()
def completions(
    model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast, task: TaskSpec, problems: list[Problem], count: int
) -> list[list[str]]:
    """`count` completions a problem: sampled at temperature 1, or the greedy one if `count` is 1."""
    prompts = [task.prompt.replace("{question}", problem.question) for problem in problems]
    encoded = tokenizer(prompts, return_tensors="pt", padding=True, padding_side="left")
    sampling = {"do_sample": True, "top_k": 0, "num_return_sequences": count} if count > 1 else {"do_sample": False}
    tokens = model.generate(**encoded, max_new_tokens=task.max_completion_tokens, **sampling)
    texts = tokenizer.batch_decode(tokens[:, encoded["input_ids"].shape[1] :], skip_special_tokens=True)
    return [texts[i : i + count] for i in range(0, len(texts), count)]


def write_card(out: Path, model: Qwen3ForCausalLM, scores: dict[str, Score], recipe: Recipe, minutes: float) -> None:
    rows = "\n".join(
        f"| {level} | {s.sampled:.1%} | {s.pass_at_8:.1%} | {s.greedy:.1%} | {s.mean_tokens:.1f} |"
        for level, s in scores.items()
    )
    card = (Path(__file__).with_name("base_model_card.md")).read_text()
    fields = {
        "parameters": f"{model.num_parameters():,}",
        "layers": recipe.layers,
        "hidden": recipe.hidden,
        "vocabulary": model.config.vocab_size,
        "documents": f"{recipe.documents:,}",
        "seed": recipe.seed,
        "torch": torch.__version__,
        "minutes": f"{minutes:.1f}",
        "sha256": hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(),
        "rows": rows,
    }
    (out / "README.md").write_text(card.format(**fields))


if __name__ == "__main__":
    typer.run(main)
