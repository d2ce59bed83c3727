"""What the sampler is asked for."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest

from assay.contracts.errors import AssayError, InvariantError
from assay.contracts.seeds import derive
from assay.evaluation.harness import SamplerLM
from assay.evaluation.run import evaluate
from assay.evaluation.tasks import EvaluationTask
from assay.sampling.requests import request_for


def run(sampler, tokenizer, tasks, spec, **options):
    return evaluate(sampler, tokenizer, tasks, spec, seed=7, model_name="base", **options)


def instance(row, context, task_name="sums@greedy"):
    kwargs = {"until": [], "max_gen_toks": 4, "do_sample": False, "temperature": 0.0}
    return SimpleNamespace(args=(context, kwargs), doc={"id": row.id}, task_name=task_name)


def test_what_the_model_is_sent_is_the_prompt_byte_for_byte(sampler, tokenizer, sums, spec):
    """F05: braces, white space, line separators and brackets survive lm_eval."""
    run(sampler, tokenizer, [sums], spec)
    sent = [bytes(request.prompt_tokens).decode() for request in sampler.requests]
    prompts = [row.prompt for row in sums.rows]
    assert sent == prompts + [prompt for prompt in prompts for _ in range(spec.samples_per_prompt)]


def test_a_context_that_is_not_the_prompt_is_refused(sampler, tokenizer, sums):
    """F05: one space too many is another prompt."""
    row = sums.rows[0]
    lm = SamplerLM(sampler, tokenizer, {row.id: row}, seed=0)
    with pytest.raises(InvariantError, match=r"sums/0: lm_eval's context .*Answer: ' is not the prompt"):
        lm.generate_until([instance(row, row.prompt + " ")])
    assert sampler.requests == []


def test_a_tokenizer_that_writes_the_prompt_in_other_tokens_is_refused(sampler, tokenizer, sums, spec):
    """F05: an exported checkpoint with another tokenizer would be sent tokens it does not read the same way."""
    rows = [replace(sums.rows[0], prompt_tokens=[*sums.rows[0].prompt_tokens, 32])]
    with pytest.raises(InvariantError, match="sums/0: the tokenizer writes the prompt as"):
        run(sampler, tokenizer, [EvaluationTask(sums.spec, rows, "d")], spec)


def test_every_sample_has_a_seed_of_its_own_from_the_seed_tree(sampler, tokenizer, sums, spec):
    """F01: n samples a question, n seeds."""
    run(sampler, tokenizer, [sums], spec)
    sampled = [request.seed for request in sampler.requests if request.temperature > 0]
    assert sampled == [derive(7, "evaluate", "sampled", row.id, index) for row in sums.rows for index in range(5)]
    assert len(set(sampled)) == len(sums.rows) * spec.samples_per_prompt


def test_budget_stop_strings_and_temperature_are_the_tasks(sampler, tokenizer, sums, words, spec):
    """F11, F12: lm_eval's default of 256 tokens and of stopping at a blank line never applies."""
    run(sampler, tokenizer, [sums, words], spec)
    asked = {(request.max_tokens, request.stop, request.temperature) for request in sampler.requests}
    stop = ("\n\n", "Question:")
    assert asked == {(48, stop, 0.0), (48, stop, 0.7), (9, (), 0.0), (9, (), 0.7)}


def test_evaluation_has_the_tasks_budget_for_evaluation_and_training_keeps_its_own(sampler, tokenizer, sums, spec):
    """F11: the one budget that training and evaluation may not share, end to end."""
    longer = sums.spec.model_copy(update={"max_evaluation_tokens": 200})
    run(sampler, tokenizer, [EvaluationTask(longer, sums.rows, longer.prompt_digest())], spec)
    assert {request.max_tokens for request in sampler.requests} == {200}
    assert request_for(sums.rows[0], longer, 1.0, 0).max_tokens == 48
    assert longer.prompt_digest() != sums.spec.prompt_digest()


def test_progress_counts_every_sequence(sampler, tokenizer, sums, words, spec):
    counts: list[int] = []
    run(sampler, tokenizer, [sums, words], spec, progress=lambda ended: counts.append(len(ended)))
    assert sum(counts) == (len(sums.rows) + len(words.rows)) * (1 + spec.samples_per_prompt)


def test_a_sampler_that_loses_a_completion_is_an_error(sampler, tokenizer, sums, spec, monkeypatch):
    """Nothing is dropped in silence, and no text is joined to another question."""
    write = sampler.generate
    monkeypatch.setattr(sampler, "generate", lambda requests, progress: write(requests, progress)[:-1])
    with pytest.raises(ValueError, match="shorter"):
        run(sampler, tokenizer, [sums], spec)


@pytest.mark.parametrize("method", ["loglikelihood", "loglikelihood_rolling"])
def test_log_likelihood_tasks_are_refused_in_words(sampler, tokenizer, sums, method):
    row = sums.rows[0]
    lm = SamplerLM(sampler, tokenizer, {row.id: row}, seed=0)
    with pytest.raises(AssayError, match=rf"{method}: a sampler only writes text; tasks \['piqa'\]"):
        getattr(lm, method)([instance(row, row.prompt, task_name="piqa")])
