"""Kleene's three-valued logic for verdicts: True, False, and None for "these rules cannot tell"."""

from __future__ import annotations

from collections.abc import Iterable

Ternary = bool | None


def any_of(verdicts: Iterable[Ternary]) -> Ternary:
    """True as soon as one is; False if all are; None otherwise."""
    unknown = False
    for verdict in verdicts:
        if verdict:
            return True
        unknown = unknown or verdict is None
    return None if unknown else False


def all_of(verdicts: Iterable[Ternary]) -> Ternary:
    """False as soon as one is; True if all are; None otherwise."""
    unknown = False
    for verdict in verdicts:
        if verdict is False:
            return False
        unknown = unknown or verdict is None
    return None if unknown else True
