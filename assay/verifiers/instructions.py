"""Instruction following: does a response follow the verifiable instructions of its prompt?

The reference is JSON text:

    {"instruction_id_list": ["punctuation:no_comma", "length_constraints:number_words"],
     "kwargs": [{}, {"relation": "at least", "num_words": 300}],
     "prompt": "Write a 300+ word summary …"}

Arguments that are null are not given; an id that the suite does not know, or an argument that an instruction does
not take, is an `error`. The checks run in worker processes, see `instruction_worker`.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from typing import Any

from assay.contracts.errors import SpecError
from assay.contracts.records import Verdict
from assay.contracts.verifier import InstructionsVerifier
from assay.verifiers.instruction_crew import CREW

VERSION = 1
PARALLEL = min(4, os.cpu_count() or 1)

_NEEDS = {
    "ifeval": ("punkt_tab",),
    "ifbench": ("punkt_tab", "stopwords", "averaged_perceptron_tagger_eng"),
    "rlvr": ("punkt_tab",),
}
"""Suite -> the NLTK resources that its checks read."""


def judge(spec: InstructionsVerifier, response: str, reference: str) -> Verdict:
    """Asks a worker which instructions are followed. `parts` has one entry for each, 1.0 or 0.0."""
    record = _record(reference)
    question = {"suite": spec.suite, "reading": spec.reading, "response": response, "limit_s": spec.time_limit_s}
    reply = CREW.ask(record | question)
    if reply["status"] == "timeout":
        detail = f"no verdict within {spec.time_limit_s:g} s of processor time"
        return Verdict("timeout", 0.0, method=spec.reading, detail=detail)
    if reply["status"] == "error":
        return Verdict("error", 0.0, method=spec.reading, detail=reply["detail"])
    return _verdict(spec, record["instruction_id_list"], reply["followed"])


def _verdict(spec: InstructionsVerifier, ids: list[str], followed: list[bool]) -> Verdict:
    share = sum(followed) / len(followed)
    score = share if spec.scope == "instruction" else float(all(followed))
    parts = dict(zip(_names(ids), map(float, followed), strict=True))
    return Verdict("correct" if all(followed) else "wrong", score, method=spec.reading, parts=parts)


def _names(ids: list[str]) -> list[str]:
    """The ids; one that comes again is numbered: `keywords:frequency`, `keywords:frequency #2`."""
    counts = [ids[: index + 1].count(name) for index, name in enumerate(ids)]
    return [name if count == 1 else f"{name} #{count}" for name, count in zip(ids, counts, strict=True)]


def _record(reference: str) -> dict[str, Any]:
    """The reference as a question's fields. ValueError: it is not what the module's docstring says."""
    try:
        given = json.loads(reference)
        ids, kwargs, prompt = given["instruction_id_list"], given["kwargs"], given.get("prompt", "")
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise ValueError(
            "the reference is not JSON text with `instruction_id_list`, `kwargs` and `prompt`"
        ) from problem
    if not ids or not isinstance(ids, list) or not isinstance(kwargs, list) or len(ids) != len(kwargs):
        raise ValueError("the reference's `instruction_id_list` and `kwargs` are not lists of one length, 1 or more")
    return {"instruction_id_list": ids, "kwargs": kwargs, "prompt": prompt}


def echo(_spec: InstructionsVerifier, _reference: str) -> str | None:
    """None: instructions have no gold answer."""
    return None


def ready(spec: InstructionsVerifier) -> None:
    """Raises a SpecError when the library or NLTK's data is missing."""
    if find_spec("if_verifiable") is None:
        raise SpecError(
            "verifier", "kind `instructions` needs the library if-verifiable", "pip install 'assay[instructions]'"
        )
    missing = [name for name in _NEEDS[spec.suite] if name in CREW.missing()]
    if missing:
        raise SpecError(
            "verifier",
            f"the suite {spec.suite!r} needs NLTK's {', '.join(missing)}, found in no directory of NLTK_DATA",
            f"`python -m nltk.downloader -d DIRECTORY {' '.join(missing)}` where there is a network, then "
            "`export NLTK_DATA=DIRECTORY`; docs/explanation/instructions.md has the way without",
        )
