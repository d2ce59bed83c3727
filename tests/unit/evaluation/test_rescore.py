"""Verdicts joined to samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace

import pytest

from assay.contracts.errors import DataError
from assay.contracts.records import SampleRow, Verdict
from assay.evaluation.rescore import rescore
from assay.verifiers import VerifierPool

SPECS = {"sums": SimpleNamespace(stop=("Question:",)), "words": SimpleNamespace(stop=())}
DIGESTS = {"sums": "a" * 64, "words": "b" * 64}


class ScriptedPool:
    """Verdicts that name what they were asked; a text of `hang` times out and `crash` fails."""

    def __init__(self) -> None:
        self.stops: list[tuple[str, tuple[str, ...]]] = []

    def score(self, name: str, answers: Sequence[tuple[str, str]], stop: tuple[str, ...] = ()) -> list[Verdict]:
        self.stops.append((name, stop))
        return [self._verdict(name, text, gold) for text, gold in answers]

    def _verdict(self, name: str, text: str, gold: str) -> Verdict:
        if name == "symbolic" and text in ("hang", "crash"):
            return Verdict("timeout" if text == "hang" else "error", 0.0, detail=f"{text}: 2 s")
        right = text == gold
        return Verdict("correct" if right else "wrong", float(right), extracted=text, method=name)


def sample(task: str, text: str, gold: str = "5", index: int = 0) -> SampleRow:
    return SampleRow(
        "base", task, f"{task}/1", "easy", "sampled", index, DIGESTS[task], text, "stop", len(text), gold, {}
    )


SAMPLES = [
    sample("words", "5"),
    sample("sums", "6"),
    sample("sums", "hang", index=1),
    sample("words", "crash", index=1),
    sample("sums", "5", index=2),
]


def test_every_sample_keeps_its_place_and_gets_three_verdicts():
    """F03, F33: the verdicts stand side by side, under the name of the verifier that gave them."""
    scored = rescore(SAMPLES, SPECS, ScriptedPool(), DIGESTS)
    assert [row.sample for row in scored] == SAMPLES
    assert [row.strict.extracted for row in scored] == [row.text for row in SAMPLES]
    assert {(row.strict.method, row.flexible.method) for row in scored} == {("strict", "flexible")}


def test_a_verifiers_failure_stays_a_failure():
    """F19: a time limit and an error are not wrong answers."""
    scored = rescore(SAMPLES, SPECS, ScriptedPool(), DIGESTS)
    assert [row.symbolic.status for row in scored] == ["correct", "wrong", "timeout", "error", "correct"]
    assert scored[2].symbolic.detail == "hang: 2 s"


def test_the_verifiers_disagree_where_they_should():
    """F03, F33: which verifiers take an answer tells an unboxed one from one written in another form."""
    rows = [sample("sums", text, "0.5") for text in (r"\boxed{0.5}", "it is 0.5", r"\boxed{\frac{1}{2}}")]
    with VerifierPool() as pool:
        scored = rescore(rows, SPECS, pool, DIGESTS)
    assert [row.strict.status for row in scored[:2]] == ["correct", "no_answer"]
    assert [row.flexible.status for row in scored[:2]] == ["correct", "correct"]
    assert [row.symbolic.status for row in scored] == ["correct"] * 3


def test_each_task_is_scored_with_its_own_stop_strings():
    """F12: what comes after the first stop string is not part of the answer."""
    pool = ScriptedPool()
    rescore(SAMPLES, SPECS, pool, DIGESTS)
    names = ("strict", "flexible", "symbolic")
    assert sorted(pool.stops) == sorted((name, spec.stop) for name in names for spec in SPECS.values())


def test_samples_of_another_prompt_are_refused():
    """F05: the prompt at evaluation must be the prompt trained on."""
    other = [*SAMPLES, replace(SAMPLES[1], prompt_digest="c" * 64)]
    with pytest.raises(DataError, match="task sums: samples answer prompt cccccccccccc, training used aaaaaaaaaaaa"):
        rescore(other, SPECS, ScriptedPool(), DIGESTS)


def test_another_prompt_is_accepted_once_acknowledged():
    """F05: a few-shot evaluation of a zero-shot run is a named difference."""
    other = [replace(row, prompt_digest="c" * 64) for row in SAMPLES]
    scored = rescore(other, SPECS, ScriptedPool(), DIGESTS, acknowledge=("F05/prompt",))
    assert [row.sample.prompt_digest for row in scored] == ["c" * 64] * len(SAMPLES)


def test_samples_of_an_unknown_task_are_refused_even_when_acknowledged():
    with pytest.raises(DataError, match="task words: samples name it, the ablation does not"):
        rescore(SAMPLES, SPECS, ScriptedPool(), {"sums": "a" * 64}, acknowledge=("F05/prompt",))


def test_no_samples_are_no_rows():
    assert rescore([], SPECS, ScriptedPool(), DIGESTS) == []
