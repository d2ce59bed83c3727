"""What is remembered of texts that come again: golds within a group, parts of answers. Many short texts and a few long
ones, so that no stream of long answers fills the memory."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar

_SHORT_CHARS, _LONG_CHARS = 100, 50_000
_SHORT_TEXTS, _LONG_TEXTS = 8_192, 16
Result = TypeVar("Result")


def remembered(function: Callable[[str], Result]) -> Callable[[str], Result]:
    """The function, which is pure, with a memory of its results by text."""
    of_short, of_long = lru_cache(_SHORT_TEXTS)(function), lru_cache(_LONG_TEXTS)(function)

    @wraps(function)
    def recall(text: str) -> Result:
        if len(text) <= _SHORT_CHARS:
            return of_short(text)
        return of_long(text) if len(text) <= _LONG_CHARS else function(text)

    return recall
