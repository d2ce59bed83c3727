"""Hostile answers: each has a verdict, in time and memory that do not depend on it, none is accepted, none is run."""

from __future__ import annotations

import gc
import time
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.contracts.records import Verdict
from assay.contracts.verifier import SYMBOLIC, ChoiceVerifier, CodeVerifier, Gsm8kVerifier, MathVerifier, Verifier
from assay.verifiers import VerifierPool, registry
from assay.verifiers.code import last_block
from assay.verifiers.memory import remembered
from assay.verifiers.outcome import Question
from assay.verifiers.pool import DEFAULT_TIME_LIMIT_S

EASY = Question(r"\int_0^1 x\,dx", "1/2", "given")
BOUND_S = 4.0
"""Of processor time, for what takes a tenth of it; quadratic time is far above."""
WORKER_BYTES = 512 * 1024**2


def nested(opening: str, core: str, closing: str, depth: int) -> str:
    return opening * depth + core + closing * depth


ANSWERS = {
    "a tower": (nested("9^{", "9", "}", 500), "2"),
    "a tower of names": (nested("x^{", "x", "}", 5_000), "x"),
    "factorials": ("7" + "!" * 5_000, "1"),
    "a factorial of a factorial": (nested("(", "7", ")!", 50), "1"),
    "roots": (nested(r"\sqrt{1+", "2", "}", 5_000), "1"),
    "fractions": (nested(r"\frac{1}{1+", "x", "}", 5_000), "x"),
    "brackets": (nested("[", "1,2", ",3)", 5_000), "1"),
    "matrices in matrices": (nested(r"\begin{pmatrix}", "1", r"\end{pmatrix}", 2_000), "2"),
    "cases in cases": (nested(r"\begin{cases}", "1", r"\end{cases}", 2_000), "2"),
    "a big matrix": (
        r"\begin{pmatrix}" + r"\\".join(["&".join([r"\pi"] * 50)] * 150) + r"\end{pmatrix}",
        r"\begin{pmatrix}" + r"\\".join(["&".join([r"\pi+1"] * 50)] * 150) + r"\end{pmatrix}",
    ),
    "a set": (",".join(map(str, range(9_000))), ",".join(map(str, range(1, 9_001)))),
    "a set of one hash": (",".join(str(i * (2**61 - 1)) for i in range(2_000)), "1,2,3"),
    "two sets of one hash": tuple(",".join(str(i * (2**61 - 1) + n) for i in range(2_000)) for n in (0, 1)),
    "pairings": tuple(",".join(rf"\int_0^{{{i}}} x\,dx+{n}" for i in range(9)) for n in (0, 1)),
    "almost equal": tuple(",".join(rf"1+{n}\cdot 10^{{-{i}}}\pi" for i in range(20, 83)) for n in (1, 2)),
    "unions": tuple(r"\cup".join(f"({i},{i + n})" for i in range(5_000)) for n in (1, 2)),
    "qualifiers": ("x, " + "any " * 12_000, "x+1, where k is an integer"),
    "blanks and words": ("integer " + "\ue000 any" * 9_000, "k \\in \\mathbb{Z}"),
    "digits": ("9" * 49_000, "17"),
    "a million digits": ("9" * 900_000, "17"),
    "a sum without end": (r"\sum_{n=1}^{10^9} \frac1n", "17"),
    "a product without end": (r"\prod_{n=1}^{10^7} n", "17"),
    "a power of an integral": (r"2^{\int_0^1 10^{12} dx}", "17"),
    "a matrix to a power": (r"\begin{pmatrix}1&1\\1&0\end{pmatrix}^{10^{9}}", r"\int_0^1 x dx"),
    "an import": ("__import__('os').system('touch {mark}')", "0"),
    "an import in an integral": (r"\int_0^1 __import__('os').system('touch {mark}') dx", "0"),
    "an f-string": ("f\"{open('{mark}', 'w')}\"", "0"),
    "a shell": (r"\immediate\write18{touch {mark}}", "0"),
    "a macro of itself": (r"\def\x{\x\x}\x", "1"),
    "no number": ("nan", "1"),
    "no number in LaTeX": (r"\frac{0}{0}", "1"),
    "nothing over nothing": (r"\frac{1}{x-x}", r"\infty"),
    "a surrogate": ("1\ud800", "17"),
    "a digit of another script": ("\u0661\u0667", "18"),
    "the other way round": ("\u202e71", "17"),
    "zero bytes": ("\x00" * 9_000 + "18", "17"),
}


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool() as pool:
        pool.settle([EASY])
        yield pool


def resident_bytes(pool: VerifierPool) -> list[int]:
    """The most that each process behind the pool has held."""
    (supervisor,) = pool.worker_pids
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    lines = [line for pid in children for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return [int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM")]


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_answer_has_a_verdict_and_leaves_the_service_as_it_was(
    pool: VerifierPool, tmp_path: Path, name: str
) -> None:
    """F08, F19."""
    mark = tmp_path / "executed"
    pred, gold = (text.replace("{mark}", str(mark)) for text in ANSWERS[name])
    for response in (pred, f"so \\boxed{{{pred}}}", f"The answer is ${pred}$."):
        pool.time_limit_s = DEFAULT_TIME_LIMIT_S
        started = time.process_time()
        (verdict,) = pool.score(SYMBOLIC, [(response, gold)])
        assert time.process_time() - started < BOUND_S
        assert verdict.status in ("wrong", "unparseable", "timeout"), verdict
        pool.time_limit_s = 60.0
        assert pool.settle([EASY])[0].status == "correct"
    assert not mark.exists()
    if Path("/proc/self/task").is_dir():
        assert max(resident_bytes(pool)) < WORKER_BYTES


VERIFIERS: list[tuple[Verifier, str]] = [
    (SYMBOLIC, "17"),
    *((MathVerifier(extract=mode, equality="exact"), "17") for mode in ("boxed_strict", "minerva", "the_answer_is")),
    *((Gsm8kVerifier(mode=mode), "17") for mode in ("any", "lm_eval_strict", "lm_eval_hash", "lm_eval_flexible")),
    *((ChoiceVerifier(mode=mode), "17") for mode in ("anchor", "simple")),
    *((ChoiceVerifier(mode=mode), "B") for mode in ("legacy", "word_boundary")),
]
REPEATED = (
    "...", "1,", "1e5 ", "1$", "$-", "-", " ", "\n", "\\boxed{", "\\boxed", "answer is ", "Answer: ", "####", "(", "{",
    "\\frac{1}", "any ", "where ", " and", " or ", "\\text{", "\\begin{cases}", "``` \n", "A. ", "(A)", "**A", "'",
    "0.", "I hope it is correct", "Final Answer: The final answer is", "The answer is 1", "\\overline{A", "∪",
    "\ue000 ",
)  # fmt: skip


@pytest.mark.parametrize("case", VERIFIERS, ids=lambda case: case[0].label)
def test_no_repetition_takes_more_than_linear_time(case: tuple[Verifier, str]) -> None:
    """Regular expressions, above all."""
    verifier, gold = case
    for unit in REPEATED:
        started = time.process_time()
        outcome = registry.judge(verifier, unit * (200_000 // len(unit)), gold)
        assert time.process_time() - started < BOUND_S, unit
        assert isinstance(outcome, Question) or outcome.status in ("correct", "wrong", "unparseable"), unit


@pytest.mark.parametrize(
    "verifier", [SYMBOLIC, Gsm8kVerifier(), ChoiceVerifier(), CodeVerifier()], ids=lambda v: v.kind
)
def test_what_no_budget_reaches_is_not_read(verifier: Verifier) -> None:
    outcome = registry.judge(verifier, "B 17 " * 2_000_000, "B")
    assert isinstance(outcome, Verdict)
    assert (outcome.status, outcome.score) == ("unparseable", 0.0)
    assert outcome.detail == "the response has 10,000,000 characters; over 1,000,000 are not read"


@pytest.mark.parametrize("text", ["```" + "a" * 500_000 + "`", "```" + " " * 500_000 + "`", "```\n" * 200_000])
def test_a_program_is_looked_for_in_linear_time(text: str) -> None:
    started = time.process_time()
    last_block(text)
    assert time.process_time() - started < BOUND_S


class Costly:
    """What a long text is read as."""


def test_a_stream_of_long_texts_does_not_fill_the_memory() -> None:
    read = remembered(lambda text: Costly())  # noqa: ARG005
    alive = weakref.WeakSet(read("x" * length) for length in range(1_000, 2_000))
    gc.collect()
    assert 0 < len(alive) < 50
    assert read("a short text") is read("a short text")
    assert read("x" * 1_999) is read("x" * 1_999)
