"""Side by side with lm_eval itself: its own Hugging Face model, and its own task class on a JSON file."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence

import pytest
import torch
from lm_eval.api.model import LM
from lm_eval.api.task import ConfigurableTask
from lm_eval.evaluator import evaluate as lm_eval_evaluate
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from assay.contracts.ablation import EvaluationSpec
from assay.contracts.records import PromptRow
from assay.contracts.sampling import Completion, Progress, SampleRequest
from assay.contracts.task import TaskSpec
from assay.evaluation.run import EvaluationResult, evaluate
from assay.evaluation.tasks import EvaluationTask, PromptTask, decodings, task_config

SPEC = EvaluationSpec(samples_per_prompt=2)
BUDGET = 24


class ReferenceSampler:
    """`transformers` generation, one prompt at a time, nothing padded; stop strings are cut from the whole text."""

    def __init__(self, model: Qwen3ForCausalLM, tokenizer: PreTrainedTokenizerFast) -> None:
        self.model = model
        self.tokenizer = tokenizer

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        completions = [self._write(request) for request in requests]
        if progress:
            progress(dict(enumerate(completions)))
        return completions

    def _write(self, request: SampleRequest) -> Completion:
        torch.manual_seed(request.seed)
        prompt_1T = torch.tensor([request.prompt_tokens])
        written = self.model.generate(
            prompt_1T,
            attention_mask=torch.ones_like(prompt_1T),
            max_new_tokens=request.max_tokens,
            do_sample=request.temperature > 0,
            pad_token_id=self.tokenizer.pad_token_id,
        )[0, prompt_1T.shape[1] :]
        text = self.tokenizer.decode(written, skip_special_tokens=True)
        ended = written[-1] == self.tokenizer.eos_token_id
        ends = [text.index(stop) for stop in request.stop if stop in text]
        tokens = tuple(written.tolist())
        return Completion(
            text[: min(ends, default=len(text))], tokens, (0.0,) * len(tokens), "stop" if ended or ends else "length"
        )


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, and an end-of-sequence token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Tokenizer(models.BPE(vocab={symbol: i for i, symbol in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(tokenizer_object=backend, eos_token="<|end|>", pad_token="<|pad|>")


@pytest.fixture(scope="module")
def model(tokenizer: PreTrainedTokenizerFast) -> Qwen3ForCausalLM:
    """Random, with weights large enough that greedy text is neither constant nor cyclic."""
    torch.manual_seed(3)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        max_position_embeddings=256,
        initializer_range=0.8,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    return Qwen3ForCausalLM(config).eval()


def task_of(tokenizer: PreTrainedTokenizerFast, stop: tuple[str, ...]) -> EvaluationTask:
    spec = TaskSpec.model_validate(
        {
            "name": "sums",
            "source": {"kind": "arithmetic", "levels": {"easy": [2, 1]}},
            "prompt": "Question: {question}\nAnswer:",
            "stop": stop,
            "max_completion_tokens": BUDGET,
        }
    )
    prompts = [spec.prompt.replace("{question}", f"{a} + {7 - a}?{' ' * a}") for a in range(7)]
    rows = [
        PromptRow(f"sums/{i}", "sums", "heldout", prompt, "7", "easy", prompt, tokenizer.encode(prompt))
        for i, prompt in enumerate(prompts)
    ]
    return EvaluationTask(spec, rows, spec.prompt_digest())


def ours(model, tokenizer, task: EvaluationTask) -> EvaluationResult:
    return evaluate(ReferenceSampler(model, tokenizer), tokenizer, [task], SPEC, seed=0, model_name="base")


def greedy_texts(result: EvaluationResult) -> list[str]:
    return [row.text for row in result.samples if row.mode == "greedy"]


def by_hflm(model, tokenizer, task: EvaluationTask) -> dict:
    lm = HFLM(pretrained=model, tokenizer=tokenizer, backend="causal", batch_size=1, max_length=256)
    greedy, _ = decodings(SPEC)
    return lm_eval_evaluate(lm, {"tasks": {"sums@greedy": PromptTask(task, greedy)}})


@pytest.fixture(scope="module")
def stop(model, tokenizer) -> str:
    """Two characters that the model does write, so that stopping is put to the test."""
    texts = greedy_texts(ours(model, tokenizer, task_of(tokenizer, ())))
    return re.findall(r"[!-~]{2}", " ".join(text[2:] for text in texts))[0]


@pytest.mark.parametrize("stopping", [False, True])
def test_lm_evals_own_model_writes_the_same_greedy_texts(model, tokenizer, stop, stopping):
    """F05, F11, F12: the same prompt, budget and stop strings, so the same text and the same aggregates."""
    task = task_of(tokenizer, (stop,) if stopping else ())
    result, theirs = ours(model, tokenizer, task), by_hflm(model, tokenizer, task)
    logged = {entry["doc_id"]: entry["resps"][0][0] for entry in theirs["samples"]["sums@greedy"]}
    assert greedy_texts(result) == [logged[i] for i in range(len(task.rows))]
    assert len(set(logged.values())) > 1
    assert result.lm_eval_results["results"]["sums@greedy"] == theirs["results"]["sums@greedy"]


def test_stop_strings_end_some_completions(model, tokenizer, stop):
    """The parity above is not vacuous."""
    free = greedy_texts(ours(model, tokenizer, task_of(tokenizer, ())))
    stopped = greedy_texts(ours(model, tokenizer, task_of(tokenizer, (stop,))))
    assert stopped == [text.split(stop)[0] for text in free]
    assert stopped != free


def test_lm_evals_own_task_class_gives_the_same_numbers_from_a_json_file(tokenizer, tmp_path):
    """The configuration is a stock lm_eval task: no code of ours decides a greedy score."""
    task = task_of(tokenizer, ())
    data = tmp_path / "test.jsonl"
    data.write_text(
        "".join(json.dumps({"id": row.id, "prompt": row.prompt, "gold": row.gold}) + "\n" for row in task.rows)
    )
    greedy, _ = decodings(SPEC)
    source = {"dataset_path": "json", "dataset_kwargs": {"data_files": {"test": str(data)}, "cache_dir": str(tmp_path)}}
    stock = ConfigurableTask(config=task_config(task.spec, greedy) | source)
    theirs = lm_eval_evaluate(_Answers(), {"tasks": {"sums@greedy": stock}})
    mine = lm_eval_evaluate(_Answers(), {"tasks": {"sums@greedy": PromptTask(task, greedy)}})
    assert mine["results"] == theirs["results"]
    assert [entry["prompt_hash"] for entry in mine["samples"]["sums@greedy"]] == [
        entry["prompt_hash"] for entry in theirs["samples"]["sums@greedy"]
    ]


class _Answers(LM):
    """Writes an answer that depends on the prompt alone; needs no model."""

    loglikelihood = loglikelihood_rolling = None

    def generate_until(self, requests):
        shapes = [r"\boxed{7}", "7", r"so $\boxed{7}$.", r"\boxed{6} or 7.0"]
        return [shapes[len(request.args[0]) % len(shapes)] for request in requests]
