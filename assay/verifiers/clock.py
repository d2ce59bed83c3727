"""Times of day: ``8:34 p.m.`` is ``20:34:00``, and ``20:34`` is no ratio that could be reduced to 10:17.

Minutes and seconds have two digits. A time of up to twelve hours without a.m. or p.m. may be in either half of the day,
but two such times must be written alike.
"""

from __future__ import annotations

import re

from assay.verifiers.normalise import TEXT_CLOSE, TEXT_OPEN

_HALF_DAY_S = 12 * 3600
_TIME = re.compile(
    rf"(\d{{1,2}})(?: ?: ?([0-5]\d)(?: ?: ?([0-5]\d))?)? ?(?:{TEXT_OPEN}? ?([ap]) ?\.? ?m\b\.? ?{TEXT_CLOSE}?)?",
    re.IGNORECASE,
)


def same(pred: str, gold: str) -> bool | None:
    """Whether two cleaned answers are the same time of day; None where one is no such time."""
    meanings = _meanings(pred), _meanings(gold)
    return bool(meanings[0] & meanings[1]) if all(meanings) else None


def _meanings(text: str) -> set[tuple[str, int]]:
    """What a time can mean: a half of the day and the seconds since it began, or "" and the seconds since midnight."""
    match = _TIME.fullmatch(text)
    if match is None or not (match[2] or match[4]) or int(match[1]) >= 24:
        return set()
    hours, rest_s = int(match[1]), int(match[2] or 0) * 60 + int(match[3] or 0)
    in_half_s = hours % 12 * 3600 + rest_s
    if half := (match[4] or "").lower():
        return {(half, in_half_s), ("", in_half_s + (_HALF_DAY_S if half == "p" else 0))}
    as_written = ("", hours * 3600 + rest_s)
    return {as_written, ("a", in_half_s), ("p", in_half_s)} if 1 <= hours <= 12 else {as_written}
