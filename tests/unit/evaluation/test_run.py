"""From completions to rows, beside lm_eval's own numbers."""

from __future__ import annotations

import json
import random
import re
import socket
import subprocess
from dataclasses import replace
from statistics import fmean

import pytest

from assay.contracts.errors import DataError
from assay.evaluation.run import EvaluationResult, evaluate
from assay.evaluation.tasks import EvaluationTask


@pytest.fixture
def result(sampler, tokenizer, sums, words, spec) -> EvaluationResult:
    return evaluate(sampler, tokenizer, [sums, words], spec, seed=7, model_name="base")


def last_box(text: str) -> str:
    """Content of the last box, found by counting braces."""
    found = "[invalid]"
    for start in re.finditer(re.escape(r"\boxed{"), text):
        depth, end = 1, start.end()
        while depth and end < len(text):
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not depth:
            found = text[start.end() : end - 1]
    return found.strip()


def last_number(text: str) -> str:
    """The last run of two or more of `$0-9.,`, or of digits, with its sign; left to right, longest first."""
    found, at = "[invalid]", 0
    while at < len(text):
        sign = 1 if text[at] == "-" else 0
        run = len(text[at + sign :]) - len(text[at + sign :].lstrip("$0123456789.,"))
        digits = len(text[at + sign :]) - len(text[at + sign :].lstrip("0123456789"))
        width = run if run >= 2 else digits
        if width:
            found = text[at : at + sign + width]
        at += max(sign + width if width else 1, 1)
    return found


def plain(answer: str) -> str:
    return answer.replace(",", "").replace("$", "").removesuffix(".").lower()


def test_every_completion_is_one_row_with_the_score_of_every_filter(result, sums, words, spec):
    """lm_eval logs a row per question per filter; a row here is a completion."""
    assert len(result.samples) == (len(sums.rows) + len(words.rows)) * (1 + spec.samples_per_prompt)
    assert len({(row.mode, row.problem_id, row.sample_index) for row in result.samples}) == len(result.samples)
    assert all(set(row.lm_eval_scores) == {"strict-match", "flexible-extract"} for row in result.samples)


def test_rows_come_by_task_mode_question_and_sample(result, sums, words):
    expected = [
        (task.spec.name, mode, row.id, index)
        for task in (sums, words)
        for mode, repeats in (("greedy", 1), ("sampled", 5))
        for row in task.rows
        for index in range(repeats)
    ]
    assert [(row.task, row.mode, row.problem_id, row.sample_index) for row in result.samples] == expected


def test_scores_equal_a_recomputation_that_shares_no_code_with_lm_eval(result):
    """F33: both extractions, side by side, each completion scored on its own."""
    for row in result.samples:
        gold = plain(row.gold)
        assert row.lm_eval_scores["strict-match"] == float(plain(last_box(row.text)) == gold), row.text
        assert row.lm_eval_scores["flexible-extract"] == float(plain(last_number(row.text)) == gold), row.text
    assert {score for row in result.samples for score in row.lm_eval_scores.values()} == {0.0, 1.0}


@pytest.mark.parametrize("mode", ["greedy", "sampled"])
@pytest.mark.parametrize("name", ["strict-match", "flexible-extract"])
def test_lm_evals_aggregates_are_the_means_of_the_rows(result, mode, name):
    """The standard error counts questions, not completions: samples of one question are not independent."""
    rows = [row for row in result.samples if row.task == "sums" and row.mode == mode]
    aggregate = result.lm_eval_results["results"][f"sums@{mode}"]
    assert aggregate[f"exact_match,{name}"] == pytest.approx(fmean(row.lm_eval_scores[name] for row in rows))
    assert aggregate["sample_len"] == 4


def test_a_row_carries_the_digest_the_gold_answer_and_the_samplers_finish(result, sums):
    """F10: a completion of ids 0 keeps its length; F12: truncation is the sampler's word, not a guess from the text."""
    digests = {row.prompt_digest for row in result.samples if row.task == "sums"}
    assert digests == {sums.spec.prompt_digest()}
    for row in result.samples:
        assert row.completion_tokens == len(row.text)
        assert row.finish_reason == ("length" if "…" in row.text else "stop")
    assert [row.gold for row in result.samples[:4]] == ["5", "1,000", "[1, 2]", "-7"]


def test_the_order_of_prompts_and_of_tasks_changes_no_row(result, sampler, tokenizer, sums, words, spec):
    rows = random.Random(0).sample(sums.rows, k=len(sums.rows))
    other = evaluate(sampler, tokenizer, [words, replace(sums, rows=rows)], spec, seed=7, model_name="base")
    assert sorted(map(repr, other.samples)) == sorted(map(repr, result.samples))


def test_a_prompt_alone_gets_the_completions_it_gets_in_company(result, sampler, tokenizer, sums, spec):
    alone = evaluate(sampler, tokenizer, [replace(sums, rows=sums.rows[2:3])], spec, seed=7, model_name="base")
    assert alone.samples == [row for row in result.samples if row.problem_id == "sums/2"]


def test_the_same_evaluation_gives_the_same_bytes(result, sampler, tokenizer, sums, words, spec):
    again = evaluate(sampler, tokenizer, [sums, words], spec, seed=7, model_name="base")
    assert again.samples == result.samples
    assert json.dumps(again.lm_eval_results, allow_nan=False) == json.dumps(result.lm_eval_results, allow_nan=False)


def test_results_keep_lm_evals_versions_and_settings(result):
    """F11: what was asked of lm_eval is on record."""
    results = result.lm_eval_results
    assert results["versions"] == {"sums@greedy": 3, "sums@sampled": 3, "words@greedy": 3, "words@sampled": 3}
    assert results["configs"]["words@sampled"]["generation_kwargs"]["max_gen_toks"] == 9
    assert results["configs"]["words@sampled"]["repeats"] == 5
    assert "samples" not in results


def test_one_sample_a_question_is_enough(sampler, tokenizer, words, spec):
    result = evaluate(
        sampler, tokenizer, [words], spec.model_copy(update={"samples_per_prompt": 1}), seed=7, model_name="base"
    )
    assert [(row.mode, row.sample_index) for row in result.samples] == [("greedy", 0), ("sampled", 0)]


def test_nothing_is_fetched_spawned_or_printed(sampler, tokenizer, sums, spec, monkeypatch, capfd):
    def forbidden(*_args, **_kwargs):
        raise AssertionError("evaluation reached out of its process")

    monkeypatch.setattr(socket.socket, "connect", forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    monkeypatch.setattr(subprocess, "Popen", forbidden)
    evaluate(sampler, tokenizer, [sums], spec, seed=7, model_name="base")
    assert capfd.readouterr() == ("", "")


def test_a_repeated_problem_id_is_refused(sampler, tokenizer, sums, spec):
    """Two rows of one id would be taken for two samples of one question."""
    doubled = replace(sums, rows=[*sums.rows, sums.rows[0]])
    with pytest.raises(DataError, match="evaluation: 1 ids name several problems: sums/0"):
        evaluate(sampler, tokenizer, [doubled], spec, seed=7, model_name="base")


def test_a_task_without_prompts_is_refused(sampler, tokenizer, sums, spec):
    with pytest.raises(DataError, match="task sums: it has no held-out prompts"):
        evaluate(sampler, tokenizer, [EvaluationTask(sums.spec, [], "d")], spec, seed=7, model_name="base")
