"""Numbers into words."""

import math

import pytest

from assay.contracts.summary import Delta
from assay.reporting import words


@pytest.mark.parametrize(
    ("fraction", "text"), [(0.5432, "54.3\u00a0%"), (0.0, "0.0\u00a0%"), (1.0, "100.0\u00a0%"), (math.nan, "–")]
)
def test_a_fraction_is_shown_as_a_percentage(fraction: float, text: str) -> None:
    assert words.percent(fraction) == text


@pytest.mark.parametrize(
    ("gain", "text"),
    [
        (0.231, "+23.1"),
        (-0.02, "−2.0"),
        (0.0, "0.0"),
        (-0.0001, "0.0"),
        (0.0004, "0.0"),
        (12.0, "+1,200.0"),
        (math.nan, "–"),
    ],
)
def test_a_difference_is_shown_in_signed_points(gain: float, text: str) -> None:
    assert words.points(gain) == text


def test_a_difference_reads_as_a_sentence_with_its_interval() -> None:
    assert words.difference(0.231, 0.18, 0.281).replace("\u00a0", " ") == "+23.1 points (95 % interval 18.0 to 28.1)"


@pytest.mark.parametrize(
    ("p", "text"), [(0.0004, "p < 0.001"), (0.0123, "p = 0.012"), (0.412, "p = 0.41"), (1.0, "p = 1.00")]
)
def test_p_values_are_never_shown_as_zero(p: float, text: str) -> None:
    assert words.p_value(p).replace("\u00a0", " ") == text


@pytest.mark.parametrize(
    ("low", "high", "p", "lower_is_better", "reading"),
    [
        (0.01, 0.05, 0.01, False, "better"),
        (-0.05, -0.01, 0.01, False, "worse"),
        (-0.05, -0.01, 0.01, True, "better"),
        (-0.01, 0.05, 0.01, False, words.NO_EVIDENCE),
        (0.01, 0.05, 0.2, False, words.NO_EVIDENCE),
        (0.01, 0.05, math.nan, False, words.NO_EVIDENCE),
    ],
)
def test_a_difference_counts_only_when_interval_and_adjusted_p_agree(
    low: float, high: float, p: float, lower_is_better: bool, reading: str
) -> None:
    """F29, F34: gains inside the noise are said to be no evidence of a difference."""
    delta = Delta(value=(low + high) / 2, ci_low=low, ci_high=high, p_adjusted=p)
    assert words.reading(delta, lower_is_better) == reading


@pytest.mark.parametrize(
    ("seconds", "text"), [(4.21, "4.2 s"), (59.99, "60.0 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")]
)
def test_durations_use_the_unit_a_person_would(seconds: float, text: str) -> None:
    assert words.duration(seconds).replace("\u00a0", " ") == text


@pytest.mark.parametrize(("n", "text"), [(812_544, "812.5 k"), (1_720_000_000, "1.7 B"), (999, "999")])
def test_parameters_are_counted_in_thousands_millions_and_billions(n: int, text: str) -> None:
    assert words.parameters(n).replace("\u00a0", " ") == text
