"""A number, found as GSM8K's graders find it; the reference is the number, or GSM8K's whole answer text.

    strict     the first "The answer is X."
    hash       the first "#### X"
    flexible   the last number of the text
    any        the first of these three that finds a number

Three more modes give what lm_eval 0.4.13 gives, defects included, for scores that must stand beside published ones:

    lm_eval_hash       strict-match of gsm8k
    lm_eval_strict     strict-match of gsm8k_cot; reads "The answer is 18" at the end of a text as 1
    lm_eval_flexible   flexible-extract of both; reads `$\\boxed{18}$.` as nothing, and 18.00 is not 18

Source: https://github.com/EleutherAI/lm-evaluation-harness, tasks/gsm8k and filters/extraction.py.
"""

from __future__ import annotations

import re
from collections import deque

from assay.contracts.records import Verdict
from assay.contracts.verifier import Gsm8kVerifier
from assay.verifiers import exact, extract
from assay.verifiers.outcome import UNPARSEABLE, decided

VERSION = 1
PARALLEL = 1

_NUMBER = r"(-?\$?-?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|-?\$?-?\.\d+)"
_STRICT = re.compile(rf"The answer is {_NUMBER}\.(?!\d)", re.ASCII)
_HASH = re.compile(rf"####\s*{_NUMBER}(?![\d,]*\d)", re.ASCII)
_ORNAMENTS = re.compile(r"[$,\s]")


def judge(spec: Gsm8kVerifier, response: str, reference: str) -> Verdict:
    """The verdict on a response whose right answer is the number `reference`."""
    if spec.mode.startswith("lm_eval_"):
        return _as_lm_eval(spec.mode, response, reference)
    for rule in _ANY if spec.mode == "any" else (spec.mode,):
        found = _RULES[rule](response)
        if found is not None:
            return decided(same_number(found, reference), found, rule)
    return UNPARSEABLE


def echo(spec: Gsm8kVerifier, reference: str) -> str:
    """The gold answer, written where the mode looks for it."""
    return _ECHOES[spec.mode].format(reference.rpartition("####")[2].strip())


def ready(spec: Gsm8kVerifier) -> None:
    """Nothing is needed."""


_ECHOES = {
    "strict": "The answer is {}.",
    "hash": "#### {}",
    "flexible": "{}",
    "any": "The answer is {}.",
    "lm_eval_hash": "#### {}",
    "lm_eval_strict": "The answer is {}.",
    "lm_eval_flexible": "{}",
}


def _first(pattern: re.Pattern[str], text: str) -> str | None:
    match = pattern.search(text)
    return match[1] if match else None


_RULES = {
    "strict": lambda text: _first(_STRICT, text),
    "hash": lambda text: _first(_HASH, text),
    "flexible": extract.last_number,
}
_ANY = tuple(_RULES)


def same_number(found: str, reference: str) -> bool:
    """Whether two numbers as written, with money signs and thousands marks, have one value."""
    value = exact.literal(_bare(found))
    return value is not None and value == exact.literal(_bare(reference.rpartition("####")[2]))


def _bare(number: str) -> str:
    return _ORNAMENTS.sub("", number).removesuffix(".")


# What lm_eval does, byte for byte

_LM_EVAL = {
    "lm_eval_hash": re.compile(r"#### (\-?[0-9\.\,]+)"),
    "lm_eval_strict": re.compile(r"The answer is (\-?[0-9\.\,]+)."),
    "lm_eval_flexible": re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)"),
}
_FULL_STOP = re.compile(r"\.$")


def _as_lm_eval(mode: str, response: str, reference: str) -> Verdict:
    matches = _LM_EVAL[mode].finditer(response)
    match = next(iter(deque(matches, maxlen=1) if mode == "lm_eval_flexible" else matches), None)
    if match is None:
        return UNPARSEABLE
    found = str(match[match.lastindex or 0])
    return decided(_ignoring(found) == _ignoring(reference), found, mode)


def _ignoring(text: str) -> str:
    r"""Without `,`, `\$`, `(?s).*#### ` and `\.$`; by the third alone, a regular expression takes quadratic time."""
    bare = text.replace(",", "").replace("$", "").rpartition("#### ")[2]
    return _FULL_STOP.sub("", bare).lower()
