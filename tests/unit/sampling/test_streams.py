"""The counter-based uniforms: against the reference algorithm in Python integers, and against chance."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from assay.contracts.seeds import derive
from assay.sampling.streams import uniforms

MASK = (1 << 64) - 1


def splitmix64(state: int) -> int:
    """One output of Vigna's splitmix64.c, whose state has already been advanced."""
    z = state & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def table(seeds: list[int], positions: int) -> np.ndarray:
    """Uniforms by seed (rows) and position (columns)."""
    array = np.array(seeds, dtype=np.uint64)
    return np.stack([uniforms(array, position) for position in range(positions)], axis=1)


def test_the_reference_has_the_published_first_outputs() -> None:
    """Seed 1234567, from the test vectors that accompany splitmix64.c."""
    outputs = [splitmix64(1234567 + (i + 1) * 0x9E3779B97F4A7C15) for i in range(3)]
    assert outputs == [6457827717110365317, 3203168211198807973, 9817491932198370423]


@pytest.mark.parametrize("position", [0, 1, 79, 100_000])
def test_uniforms_are_the_top_53_bits_of_splitmix64(position: int) -> None:
    seeds = [0, 1, 2**63 - 1, *(derive(7, "x", i) for i in range(50))]
    expected = [(splitmix64(seed + (position + 1) * 0x9E3779B97F4A7C15) >> 11) / 2**53 for seed in seeds]
    assert uniforms(np.array(seeds, dtype=np.uint64), position).tolist() == expected


def test_a_rows_number_does_not_depend_on_its_neighbours() -> None:
    """F01, and the reason a resumed run draws what the killed one would have drawn."""
    seeds = np.array([derive(0, i) for i in range(64)], dtype=np.uint64)
    whole = uniforms(seeds, 5)
    assert [float(uniforms(seeds[i : i + 1], 5)[0]) for i in range(64)] == whole.tolist()


@pytest.mark.parametrize("derived", [True, False])
def test_numbers_are_uniform_along_positions_and_along_seeds(derived: bool) -> None:
    """Even of seeds 0, 1, 2 …, which nobody should use."""
    numbers = table([derive(3, i) if derived else i for i in range(500)], 200)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    assert stats.kstest(numbers.ravel(), "uniform").pvalue > 0.01
    rows = [stats.kstest(row, "uniform").pvalue for row in numbers]
    columns = [stats.kstest(column, "uniform").pvalue for column in numbers.T]
    assert stats.kstest(rows, "uniform").pvalue > 0.01
    assert stats.kstest(columns, "uniform").pvalue > 0.01


@pytest.mark.parametrize("gap", [1, 2, 2**32])
def test_neighbouring_seeds_and_positions_are_not_correlated(gap: int) -> None:
    seeds = [derive(1, i) % 2**62 for i in range(400)]
    a, b = table(seeds, 100), table([seed + gap for seed in seeds], 100)
    pairs = {"seed": (a, b), "position": (a[:, :-1], a[:, 1:]), "both": (a[:, :-1], b[:, 1:])}
    for x, y in pairs.values():
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 4 / np.sqrt(x.size)


def test_streams_shifted_by_phi_overlap() -> None:
    """The known limit of one stream cut in pieces: two 63-bit seeds out of sha256 are that close with chance 2^-56."""
    a = table([5], 20)
    b = table([(5 + 0x9E3779B97F4A7C15) & MASK], 20)
    assert a[0, 1:].tolist() == b[0, :-1].tolist()
