"""What rounding explains: how far the log-probs of one model may be apart when two programs compute them (F09, F25)."""

from __future__ import annotations

from typing import NamedTuple

from assay.contracts.training import TrainSpec


class Bounds(NamedTuple):
    """What rounding explains at most; the first two are means over tokens."""

    gap: float
    """|log π − log π'|, nats."""
    k3: float
    """KL between the two; outliers weigh more in it."""
    ratio: float
    """Largest π / π' of a single token."""


BOUNDS = {
    "fp32": Bounds(1e-3, 1e-5, 1.01),
    "tf32": Bounds(0.02, 1e-3, 1.2),
    "fp16": Bounds(0.02, 1e-3, 1.2),
    "bf16": Bounds(0.05, 5e-3, 1.5),
}
"""By precision: unit round-offs of 2^-24, 2^-11, 2^-11 and 2^-8, through some tens of layers."""


def bounds(spec: TrainSpec) -> Bounds:
    """Of the run's precision. `logprob_tolerance`, where it is given, stands for the mean difference; k3 is of second
    order in it, so its bound goes with the square."""
    own = BOUNDS[spec.engine.dtype]
    if spec.logprob_tolerance is None:
        return own
    return own._replace(gap=spec.logprob_tolerance, k3=own.k3 * (spec.logprob_tolerance / own.gap) ** 2)
