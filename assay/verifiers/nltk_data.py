"""Which of NLTK's data this machine has: it decides where a sentence ends, and so whether an instruction is followed.

{"nltk-data": "9f0c2a1b7d3e"}     sha256 of the files that checks read, those that are absent left out
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from importlib.util import find_spec
from typing import Any

NAME = "nltk-data"
_DIGITS = 12
_FILES = (
    *(f"tokenizers/punkt_tab/english/{name}" for name in ("abbrev_types.txt", "collocations.tab")),
    *(f"tokenizers/punkt_tab/english/{name}" for name in ("ortho_context.tab", "sent_starters.txt")),
    "corpora/stopwords/english",
    *(
        f"taggers/averaged_perceptron_tagger_eng/averaged_perceptron_tagger_eng.{part}.json"
        for part in ("classes", "tagdict", "weights")
    ),
)


def nltk_data() -> dict[str, str]:
    """The digest under its name; nothing where NLTK or all of its data is absent."""
    if find_spec("nltk") is None:
        return {}
    data: Any = import_module("nltk.data")
    contents = {name: content for name in _FILES if (content := _read(data, name)) is not None}
    if not contents:
        return {}
    whole = hashlib.sha256(b"".join(hashlib.sha256(each).digest() for each in contents.values()))
    return {NAME: whole.hexdigest()[:_DIGITS]}


def _read(data: Any, name: str) -> bytes | None:
    try:
        with data.find(name).open() as stream:
            return bytes(stream.read())
    except LookupError:
        return None
