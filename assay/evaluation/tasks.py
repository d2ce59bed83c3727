"""lm_eval tasks made of Assay's own prompts, in memory.

A task becomes one lm_eval task a decoding: `sums@greedy` (one completion a question) and `sums@sampled` (n of them, by
`repeats`). The prompt is a field of the document, so no template touches it: the context lm_eval builds is the prompt,
byte for byte (F05). Stop strings and token budget are the task's (F11, F12). Two filters feed lm_eval's `exact_match`,
named and side by side (F33):

    strict-match      the last \\boxed{…}
    flexible-extract  the last number, with the regular expressions of lm_eval's gsm8k
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from statistics import fmean
from typing import Any, Literal

from datasets import Dataset
from lm_eval.api.task import ConfigurableTask

from assay.contracts.ablation import EvaluationSpec
from assay.contracts.errors import DataError
from assay.contracts.records import PromptRow
from assay.contracts.task import TaskSpec

Mode = Literal["greedy", "sampled"]

METRIC = "exact_match"
BOXED = r"\\boxed\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
"""Content of a box, braces nested up to two deep: `\\boxed{\\frac{1}{2}}`."""
LAST_NUMBER = r"(-?[$0-9.,]{2,})|(-?[0-9]+)"
IGNORED = [",", r"\$", r"(?s).*#### ", r"\.$"]
"""What gsm8k's `exact_match` leaves out before it compares."""


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """A task, its held-out prompts, and the digest of what the model sees."""

    spec: TaskSpec
    rows: Sequence[PromptRow]
    prompt_digest: str


@dataclass(frozen=True, slots=True)
class Decoding:
    """How completions of a question are drawn."""

    mode: Mode
    repeats: int
    """Completions a question."""
    temperature: float


def decodings(spec: EvaluationSpec) -> tuple[Decoding, Decoding]:
    """Greedy decoding, always; and the samples that pass@k is estimated from."""
    return Decoding("greedy", 1, 0.0), Decoding("sampled", spec.samples_per_prompt, spec.temperature)


def task_config(spec: TaskSpec, decoding: Decoding) -> dict[str, Any]:
    """The lm_eval configuration: plain data, so with a `dataset_path` of its own it is a YAML that lm_eval runs.

    With one completion a question it is a stock task; `take_first` would drop all others, so it is left out above one.
    """
    return {
        "task": f"{spec.name}@{decoding.mode}",
        "output_type": "generate_until",
        "test_split": "test",
        "doc_to_text": "prompt",
        "doc_to_target": "gold",
        "target_delimiter": "",
        "num_fewshot": 0,
        "repeats": decoding.repeats,
        "generation_kwargs": {
            "until": list(spec.stop),
            "max_gen_toks": spec.max_completion_tokens,
            "do_sample": decoding.mode == "sampled",
            "temperature": decoding.temperature,
        },
        "filter_list": [
            _extract("strict-match", BOXED, decoding.repeats),
            _extract("flexible-extract", LAST_NUMBER, decoding.repeats),
        ],
        "metric_list": [
            {
                "metric": METRIC,
                "aggregation": "mean",
                "higher_is_better": True,
                "ignore_case": True,
                "ignore_punctuation": False,
                "regexes_to_ignore": IGNORED,
            }
        ],
        "metadata": {"version": spec.version},
    }


def evaluation_prompts(task: EvaluationTask) -> dict[str, str]:
    """Problem id -> the very text lm_eval sends for it: what preflight compares with the training prompt (F05)."""
    prompts = PromptTask(task, Decoding("greedy", 1, 0.0))
    return {doc["id"]: prompts.fewshot_context(doc, num_fewshot=0) for doc in prompts.test_docs()}


def _extract(name: str, pattern: str, repeats: int) -> dict[str, Any]:
    last_match = {"function": "regex", "regex_pattern": pattern, "group_select": -1}
    return {"name": name, "filter": [last_match, {"function": "take_first"}] if repeats == 1 else [last_match]}


class PromptTask(ConfigurableTask):  # type: ignore[misc]  # lm_eval ships no types
    """lm_eval's own task class over prompts held in memory. Filters, metric and aggregation are lm_eval's.

    Raises `DataError` when there are no prompts.
    """

    def __init__(self, task: EvaluationTask, decoding: Decoding) -> None:
        if not task.rows:
            raise DataError(f"task {task.spec.name}", "it has no held-out prompts", "Raise `heldout` in its task use")
        self.prompt_rows = task.rows
        super().__init__(config=task_config(task.spec, decoding))

    def download(self, dataset_kwargs: dict[str, Any] | None = None, **_: Any) -> None:
        """Nothing is fetched: the documents are the prompt rows."""
        if dataset_kwargs:
            raise DataError("dataset_kwargs", f"{dataset_kwargs} would be ignored", "Leave them out")
        documents = [{"id": row.id, "prompt": row.prompt, "gold": row.gold} for row in self.prompt_rows]
        self.dataset = {"test": Dataset.from_list(documents)}

    def build_all_requests(self, **options: Any) -> None:
        """lm_eval's requests, without the progress bar it writes while it joins strings."""
        with redirect_stderr(io.StringIO()):
            super().build_all_requests(**options)

    def process_results(self, doc: dict[str, Any], results: list[Any]) -> dict[str, float]:
        """The question's score: the mean of lm_eval's scores of its completions."""
        (filtered,) = results
        return {METRIC: fmean(self.scores(doc, filtered))}

    def scores(self, doc: dict[str, Any], filtered: str | list[str]) -> list[float]:
        """lm_eval's score of every completion, from what a filter made of it."""
        score = super().process_results
        answers = [filtered] if isinstance(filtered, str) else filtered
        return [float(score(doc, [answer])[METRIC]) for answer in answers]
