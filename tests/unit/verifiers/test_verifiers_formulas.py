"""Parsing and evaluating formulas, checked against Python's own arithmetic and mpmath."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest

from assay.verifiers import identity
from assay.verifiers.expression import Program, Unreadable, compile_formula
from assay.verifiers.machine import Machine, TooLarge, Undefined


def value(text: str, **variables: Fraction) -> object:
    return Machine(variables, digits=50, real=True).run(compile_formula(text))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1+2*3", 7),
        ("2^3^2", 512),
        ("-3^2", -9),
        ("2^-2", Fraction(1, 4)),
        ("1/2/2", Fraction(1, 4)),
        (r"\frac12 3", Fraction(3, 2)),
        (r"\frac{1}{2}\cdot 4".replace(r"\cdot", "*"), 2),
        ("3!/2", 3),
        ("2(3)(4)", 24),
        (r"\sqrt[3]{-8}", -2),
        (r"\sqrt{\frac{4}{9}}", Fraction(2, 3)),
        ("8^{2/3}", 4),
        ("|3-5|", 2),
        (r"\log_2 (1/8)", -3),
    ],
)
def test_rational_formulas_evaluate_exactly(text: str, expected: object) -> None:
    assert value(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (r"\sin 2x", math.sin(2 * 0.75)),
        (r"\sin^2 x", math.sin(0.75) ** 2),
        (r"\sin x \cos x", math.sin(0.75) * math.cos(0.75)),
        (r"\ln(x)+1", math.log(0.75) + 1),
        ("e^{-x}", math.exp(-0.75)),
        (r"\arctan x/2", math.atan(0.375)),
        ("2πx", 1.5 * math.pi),
    ],
)
def test_functions_take_their_arguments_as_mathematicians_write_them(text: str, expected: float) -> None:
    assert float(value(text, x=Fraction(3, 4))) == pytest.approx(expected, rel=1e-14)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text", ["", "1+", "(1", "1)", "()", "1 2", r"\frac{1}", r"\foo", "1 = 2", "().__class__", "a.b"]
)
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(Unreadable):
        compile_formula(text)


@pytest.mark.parametrize("text", ["9^9^9^9", "(10^9)!", r"\binom{10^7}{5*10^6}", "e^{e^{e^{e^e}}}", "2^{-10^{10}}"])
def test_huge_values_are_never_evaluated(text: str) -> None:
    """F08."""
    with pytest.raises(TooLarge):
        value(text)


@pytest.mark.parametrize("text", ["1/0", r"\sqrt{-1}", r"\ln(-1)", "0^0", r"\frac{1}{1-1}"])
def test_what_has_no_real_value_is_undefined(text: str) -> None:
    with pytest.raises(Undefined):
        value(text)


def test_nesting_of_any_depth_costs_no_recursion() -> None:
    deep = "(" * 5_000 + "1" + ")" * 5_000
    assert value(deep) == 1
    assert isinstance(compile_formula(r"\frac{1}{1+" * 1_500 + "2" + "}" * 1_500), Program)


def test_cancellation_is_seen_through_and_not_mistaken_for_equality() -> None:
    residue, zero = compile_formula(r"\sqrt{10^{40}+1}-10^{20}"), compile_formula("0")
    assert not identity.same(residue, zero)
    assert identity.same(compile_formula(r"\sqrt{3+2\sqrt{2}}-\sqrt{2}-1"), zero)


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("|x-1|", ["1-x", "x-1"]),
        ("|x-100|", ["100-x", "x-100"]),
        (r"\sqrt{(x-7)^2}", ["7-x", "x-7"]),
        ("x|x|", ["x^2", "-x^2"]),
        (r"⌊x⌋", ["x", "0", "1"]),
    ],
)
def test_a_function_with_a_bend_is_none_of_its_branches(text: str, others: list[str]) -> None:
    bent = compile_formula(text)
    assert identity.same(bent, bent)
    assert not any(identity.same(bent, compile_formula(other)) for other in others)


@pytest.mark.parametrize(
    "text",
    [r"\sin π", r"\cos\frac{π}{2}", r"\tan π", r"1+e^{iπ}", r"\sqrt{12}-2\sqrt{3}", r"\ln(\sqrt2\sqrt2/2)"],
)
def test_what_cancels_is_zero(text: str) -> None:
    assert identity.same(compile_formula(text), compile_formula("0"))


@pytest.mark.parametrize(
    "text",
    [r"\sin(10^{-200})", r"1-\cos(10^{-80})", r"e^{-600}", r"\ln(1+10^{-180})", r"\sqrt2+10^{-200}-\sqrt2",
     r"\sin(π+10^{-100})"],
)  # fmt: skip
def test_what_is_tiny_is_not_zero(text: str) -> None:
    assert not identity.same(compile_formula(text), compile_formula("0"))
