"""Judged by a language model behind an OpenAI-compatible endpoint (`vllm serve`, or a hosted one), with a rubric.

The reference is JSON text, {"question": "…", "gold": "…"} with `gold` where the rubric asks for it; any other text is
the gold answer of a question that the rubric does not show.

The verdict's score is the judge's, as a share of `scale`. A reply without a score that counts is an `error`, as is an
endpoint that keeps failing; a deadline that passes is a `timeout`. None of these is a wrong answer (F19).
"""

from __future__ import annotations

import functools
import json
import sqlite3
from typing import NamedTuple

from assay.contracts.base import digest
from assay.contracts.errors import Retryable, SpecError
from assay.contracts.records import Verdict
from assay.contracts.verifier import JudgeVerifier, Verifier
from assay.verifiers import completions, replies, rubric
from assay.verifiers.completions import Late, Reply, Unanswered
from assay.verifiers.replies import Meter, Usage

VERSION = 1
PARALLEL = 16

_METER = Meter()
_UNLISTED = (404, 405, 501)
"""What an endpoint answers that has no list of models."""


class _Record(NamedTuple):
    question: str
    gold: str


def judge(spec: JudgeVerifier, response: str, reference: str) -> Verdict:
    """Asks the judge, or finds its earlier reply."""
    record = _record(spec, reference)
    try:
        reply = _reply(spec, record, response)
        if reply.finish_reason == "length":
            raise rubric.NoScore(f"the reply was cut off at max_tokens ({spec.max_tokens})")
        score = rubric.score_of(reply.text, spec.scale, response)
    except Late as late:
        return Verdict("timeout", 0.0, method="judge", detail=str(late))
    except (Unanswered, rubric.NoScore) as problem:
        return Verdict("error", 0.0, method="judge", detail=str(problem))
    share = score / spec.scale
    return Verdict("correct" if share >= spec.passes_at else "wrong", share, f"{score:g}/{spec.scale}", "judge")


def usage(*verifiers: Verifier) -> Usage:
    """What the judges among these have cost this process so far; a stage reports by how much it grows."""
    names = {_name(verifier) for verifier in verifiers if isinstance(verifier, JudgeVerifier)}
    return sum(map(_METER.read, names), Usage())


def echo(_spec: JudgeVerifier, _reference: str) -> str | None:
    """None: what a judge thinks of a gold answer is a measurement, not a check."""
    return None


def ready(spec: JudgeVerifier) -> None:
    """Raises a SpecError when the key is missing, the cache cannot be written or the model is not served, and a
    Retryable when the endpoint does not answer. A judge that was ready is not asked again."""
    completions.api_key(spec)
    _answers(spec)


@functools.cache
def _answers(spec: JudgeVerifier) -> None:
    try:
        replies.known("")
    except (OSError, sqlite3.Error) as problem:
        where = replies.cache_file()
        raise SpecError(
            "ASSAY_CACHE", f"{where} cannot be written ({problem})", "Name a writable directory"
        ) from problem
    try:
        served = completions.served_models(spec)
    except Unanswered as problem:
        _explain(spec, problem)
    else:
        if spec.model not in served:
            raise SpecError(
                "verifier.model", f"{spec.url} does not serve {spec.model!r}", f"Use one of {', '.join(served)}"
            )


def _explain(spec: JudgeVerifier, problem: Unanswered) -> None:
    """Raises what `problem` means for a judge that is about to be used."""
    if problem.status in _UNLISTED:
        return
    if problem.status in (401, 403):
        remedy = "Name the variable that holds its key" if spec.api_key_env is None else f"Check {spec.api_key_env}"
        raise SpecError("verifier.api_key_env", f"{spec.url} answered {problem}", remedy)
    raise Retryable(f"verifier.url: the judge at {spec.url} does not answer: {problem}. Start it, or correct the URL")


def _record(spec: JudgeVerifier, reference: str) -> _Record:
    """Question and gold answer. ValueError: the rubric shows a question that the reference lacks."""
    try:
        given = json.loads(reference)
    except ValueError:
        given = None
    if isinstance(given, dict) and isinstance(given.get("question"), str):
        return _Record(given["question"], str(given.get("gold", "")))
    if "{question}" in spec.rubric:
        raise ValueError('the rubric shows {question}; the reference must be JSON text with "question"')
    return _Record("", reference)


def _reply(spec: JudgeVerifier, record: _Record, response: str) -> Reply:
    """The judge's reply, paid for once."""
    body = rubric.request_body(spec, record.question, response, record.gold)
    request = digest(body)
    reply = replies.known(request)
    if reply is not None:
        _METER.add(_name(spec), Usage(cache_hits=1))
        return reply
    reply = completions.complete(spec, body, on_request=lambda: _METER.add(_name(spec), Usage(calls=1)))
    tokens = Usage(prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
    _METER.add(_name(spec), tokens)
    replies.keep(request, reply)
    return reply


def _name(spec: JudgeVerifier) -> str:
    return f"{spec.url} {spec.model}"
