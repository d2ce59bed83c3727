"""The result in words says what interval and corrected p-value both say, and no more (F29, F34)."""

from __future__ import annotations

from assay.contracts.summary import ArmSummary, Comparison, Delta, Metric
from assay.reporting.verdict import verdict_words

BASE = 0.4
PRIMARY = "pooled/pass@1"


def arm(delta: Delta | None) -> ArmSummary:
    value = BASE + (delta.value if delta else 0)
    metric = Metric(value=value, ci_low=value - 0.1, ci_high=value + 0.1, n=256, delta_vs_base=delta)
    return ArmSummary(seeds=2, checkpoint="", metrics={PRIMARY: metric}, health=(), gpu_hours=0, train_hours=0)


def gained(value: float, half: float = 0.03, p: float = 0.0004) -> Delta:
    return Delta(value=value, ci_low=value - half, ci_high=value + half, p_adjusted=p)


def pair(a: str, b: str, value: float, half: float = 0.03, p: float = 0.0004) -> Comparison:
    sure = value > half and p < 0.05
    verdict = "better" if sure else "no evidence of a difference"
    return Comparison(a=a, b=b, value=value, ci_low=value - half, ci_high=value + half, p_adjusted=p, verdict=verdict)


def told(arms: dict[str, Delta], *comparisons: Comparison) -> str:
    pooled = {"base": arm(None)} | {name: arm(delta) for name, delta in arms.items()}
    return verdict_words(pooled, comparisons, PRIMARY).replace("\u00a0", " ")


def test_all_arms_beat_the_base_model() -> None:
    words = told({"x": gained(0.2), "y": gained(0.1), "z": gained(0.15)}, pair("x", "z", 0.05), pair("x", "y", 0.1))
    assert words.startswith("All 3 arms beat the base model (the highest, x: 40.0 % → 60.0 %, +20.0 points")
    assert "256 questions" in words


def test_of_two_arms_that_beat_it_both_do() -> None:
    assert told({"x": gained(0.2), "y": gained(0.1)}).startswith("Both arms beat the base model")


def test_one_arm_beats_the_base_model() -> None:
    words = told({"x": gained(0.2), "y": gained(0.01, p=0.6)}, pair("x", "y", 0.19))
    assert words.startswith("x beats the base model (the highest, x:")
    assert "y beats" not in words


def test_no_arm_differs_from_the_base_model() -> None:
    """F34: the highest is named as the highest, not as better."""
    words = told({"x": gained(0.02, p=0.4), "y": gained(-0.01, p=0.7)}, pair("x", "y", 0.03, 0.05, 0.3))
    assert words.startswith("No arm differs from the base model beyond the noise (the highest, x:")
    assert "beats" not in words
    assert "wins" not in words
    assert "there is no evidence of a difference: the widest gap, x over y" in words


def test_an_arm_that_is_worse_is_said_to_be_worse() -> None:
    words = told({"x": gained(0.2), "y": gained(-0.1)}, pair("x", "y", 0.3))
    assert words.startswith("x beats the base model; y is worse than the base model (the highest, x:")


def test_arms_that_are_all_worse_are_said_to_be() -> None:
    assert told({"x": gained(-0.2), "y": gained(-0.1)}).startswith("Both arms are worse than the base model")


def test_an_interval_without_zero_is_no_evidence_when_the_corrected_p_value_is_not_small() -> None:
    """F29."""
    words = told({"x": gained(0.2, p=0.08), "y": gained(0.16, p=0.08)}, pair("x", "y", 0.04, 0.03, 0.08))
    assert words.startswith("No arm differs")
    assert "no evidence of a difference" in words
    assert "p = 0.080 after Holm's correction" in words


def test_a_small_p_value_is_no_evidence_when_the_interval_holds_zero() -> None:
    """F29."""
    assert told({"x": gained(0.02, half=0.03, p=0.01)}).startswith("No arm differs")


def test_a_champion_beats_every_other_arm_and_its_closest_rival_is_named() -> None:
    words = told(
        {"x": gained(0.2), "y": gained(0.1), "z": gained(0.12)},
        pair("x", "y", 0.1),
        pair("x", "z", 0.08),
        pair("z", "y", 0.02, 0.03, 0.6),
    )
    assert "x wins: its lead over the next, z, is +8.0 points" in words


def test_an_arm_that_beats_only_some_is_no_champion() -> None:
    """F34: a partial order stays partial."""
    words = told(
        {"x": gained(0.2), "y": gained(0.1), "z": gained(0.19)},
        pair("x", "y", 0.1),
        pair("x", "z", 0.01, 0.03, 0.7),
        pair("z", "y", 0.09),
    )
    assert "wins" not in words
    assert "No arm beats all others: x is ahead of y by +10.0 points" in words
    assert "z is ahead of y by +9.0 points" in words
    assert "ahead of z" not in words


def test_a_single_arm_is_compared_with_the_base_model_only() -> None:
    words = told({"x": gained(0.2)})
    assert words.startswith("x beats the base model (the highest, x:")
    assert words.endswith("256 questions).")
    assert "arms" not in words
