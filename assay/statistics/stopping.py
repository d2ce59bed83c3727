"""When a prompt has been sampled enough, and a pass rate that does not mind how it was decided.

Sampling stops after the chunk that brings the last of `correct` right and `wrong` other answers. The plain share c / n
is then biased: a prompt that is solved late is cut off just after a success. The mean of the first sample, given how
sampling ended, is not (Girshick, Mosteller, Savage 1946; the Rao-Blackwell form):

    p̂ = paths to (n, c) whose first sample is correct / paths to (n, c)

A path is an order of right and wrong answers that would not have been stopped before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import comb

from assay.contracts.training import ChunkSpec


def is_enough(judged: int, correct: int, samples: int, spec: ChunkSpec) -> bool:
    """Whether a prompt needs no further chunk. `samples` counts those too that could not be judged."""
    seen = correct >= spec.correct and judged - correct >= spec.wrong
    return seen or samples >= spec.max_samples


def unbiased_pass_rate(chunks: Sequence[int], correct: int, spec: ChunkSpec) -> float:
    """p̂ of a prompt with `correct` right answers in chunks of so many judged samples each; NaN if none was judged."""
    sizes = [size for size in chunks if size]
    if not sizes:
        return math.nan
    first, *rest = sizes
    paths = {right: comb(first, right) for right in range(first + 1)}
    led_by_right = {right: comb(first - 1, right - 1) if right else 0 for right in range(first + 1)}
    judged = first
    for size in rest:
        going_on = [right for right in paths if not is_enough(judged, right, 0, spec)]
        paths, led_by_right = (_after_chunk(counts, going_on, size) for counts in (paths, led_by_right))
        judged += size
    return led_by_right[correct] / paths[correct]


def _after_chunk(counts: Mapping[int, int], going_on: Sequence[int], size: int) -> dict[int, int]:
    after: dict[int, int] = {}
    for right in going_on:
        for more in range(size + 1):
            after[right + more] = after.get(right + more, 0) + counts[right] * comb(size, more)
    return after
