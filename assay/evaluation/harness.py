"""A sampler as an lm_eval model.

    lm_eval request (context, generation kwargs)  ->  SampleRequest(prompt tokens, seed, budget, temperature, stop)

The prompt tokens are those training used, not a second encoding of the context. Before anything is sampled, the
context must equal the row's prompt, and the tokenizer must still write the prompt as those tokens (F05). The seed is

    derive(seed, "evaluate", mode, problem_id, sample_index)

so a completion depends neither on the order of requests nor on which checkpoint came first (F01). lm_eval keeps only
text; `SamplerLM.completions` keeps the rest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from lm_eval.api.model import LM

from assay.contracts.errors import AssayError, InvariantError
from assay.contracts.records import PromptRow
from assay.contracts.sampling import Completion, Progress, Sampler, SampleRequest
from assay.contracts.seeds import derive
from assay.tasks import Tokenizer

if TYPE_CHECKING:
    from lm_eval.api.instance import Instance


class CompletionKey(NamedTuple):
    """Which completion: ids are canonical, so the task is in the problem's id."""

    mode: str
    problem_id: str
    sample_index: int


class SamplerLM(LM):  # type: ignore[misc]  # lm_eval ships no types
    """lm_eval's model interface over a `Sampler`; generation only.

    `rows` maps a problem id to its prompt. Raises `InvariantError` when the tokenizer writes a prompt as other tokens
    than its row's, or when a context is not its row's prompt.
    """

    def __init__(
        self,
        sampler: Sampler,
        tokenizer: Tokenizer,
        rows: Mapping[str, PromptRow],
        *,
        seed: int,
        progress: Progress | None = None,
    ) -> None:
        super().__init__()
        for row in rows.values():
            _check_tokens(tokenizer, row)
        self.sampler = sampler
        self.rows = rows
        self.seed = seed
        self.progress = progress
        self.completions: dict[CompletionKey, Completion] = {}

    def generate_until(self, requests: Sequence[Instance]) -> list[str]:
        """Texts in the order of the requests; all go to the sampler at once."""
        keys = _keys(requests)
        wanted = [self._request(instance, key) for instance, key in zip(requests, keys, strict=True)]
        completions = self.sampler.generate(wanted, self.progress)
        self.completions.update(zip(keys, completions, strict=True))
        return [completion.text for completion in completions]

    def _request(self, instance: Instance, key: CompletionKey) -> SampleRequest:
        context, kwargs = instance.args
        row = self.rows[key.problem_id]
        _check_context(context, row)
        return SampleRequest(
            prompt_tokens=tuple(row.prompt_tokens),
            seed=derive(self.seed, "evaluate", *key),
            max_tokens=kwargs["max_gen_toks"],
            temperature=kwargs["temperature"],
            stop=tuple(kwargs["until"]),
        )

    def loglikelihood(self, requests: Sequence[Instance]) -> NoReturn:
        """Not offered by a sampler."""
        _refuse("loglikelihood", requests)

    def loglikelihood_rolling(self, requests: Sequence[Instance]) -> NoReturn:
        """Not offered by a sampler."""
        _refuse("loglikelihood_rolling", requests)


def _keys(requests: Sequence[Instance]) -> list[CompletionKey]:
    """lm_eval repeats an instance once a sample; the n-th time it is met is sample n."""
    met: Counter[tuple[str, str]] = Counter()
    keys = []
    for instance in requests:
        question = (_mode(instance.args[1]), instance.doc["id"])
        keys.append(CompletionKey(*question, sample_index=met[question]))
        met[question] += 1
    return keys


def _mode(kwargs: Mapping[str, Any]) -> str:
    return "sampled" if kwargs["do_sample"] else "greedy"


def _check_tokens(tokenizer: Tokenizer, row: PromptRow) -> None:
    encoded = list(tokenizer.encode(row.prompt, add_special_tokens=False))
    if encoded != row.prompt_tokens:
        raise InvariantError(
            f"{row.id}: the tokenizer writes the prompt as {encoded}, it was prepared as {row.prompt_tokens}; "
            "evaluate a checkpoint with the tokenizer it was trained with (F05)"
        )


def _check_context(context: str, row: PromptRow) -> None:
    if context != row.prompt:
        raise InvariantError(
            f"{row.id}: lm_eval's context {context!r} is not the prompt trained on {row.prompt!r}; "
            "leave the task's doc_to_text, delimiters and few-shot settings as they are (F05)"
        )


def _refuse(method: str, requests: Sequence[Instance]) -> NoReturn:
    tasks = sorted({str(instance.task_name) for instance in requests})
    raise AssayError(f"{method}: a sampler only writes text; tasks {tasks} need output_type generate_until")
