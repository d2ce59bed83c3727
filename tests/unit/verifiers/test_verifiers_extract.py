"""Each extraction rule finds the answer it is named after, and nothing else."""

from __future__ import annotations

import pytest

from assay.verifiers import extract


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{18}.", "18"),
        (r"\boxed{1} and then \boxed{2}", "2"),
        (r"\boxed{\frac{1}{\sqrt{2}}}", r"\frac{1}{\sqrt{2}}"),
        (r"\boxed{\{1,2\}}", r"\{1,2\}"),
        (r"\boxed{x = \boxed{5}}", "5"),
        (r"} \boxed {7} {", "7"),
        (r"\boxed{3} but \boxed{4", "3"),
    ],
)
def test_the_last_balanced_box_is_the_answer(text: str, answer: str) -> None:
    assert extract.boxed(text) == answer


@pytest.mark.parametrize("text", ["18", r"\boxed 5", r"\boxed{5", "", r"\boxed" * 3])
def test_without_a_balanced_box_there_is_no_boxed_answer(text: str) -> None:
    assert extract.boxed(text) is None


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (r"Thus $\boxed{18}$.", "18"),
        ("3 apples, then 1,234.50 in all.", "1,234.50"),
        (r"it costs $1{,}250$", "1250"),
        (r"it costs \$4,\!000", "4000"),
        ("5-3", "3"),
        ("the result is -3.", "-3"),
        ("a loss of -$20", "-20"),
        ("about .5", ".5"),
        ("version 1.2.3", ".3"),
        ("9" * 300, "9" * 300),
        ("1 " + "x" * 500 + " 2,000 " + "y" * 500, "2,000"),
    ],
)
def test_flexible_reads_the_last_number(text: str, number: str) -> None:
    """F33: lm_eval's flexible filter reads the first of these as nothing."""
    assert extract.last_number(text) == number


def test_flexible_finds_nothing_where_no_digit_is() -> None:
    assert extract.last_number("no number here") is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"the answer is 4, so \boxed{5}", ("5", "boxed")),
        (r"\boxed{-2} \quad \text{and} \quad $\boxed{1}$", ("-2, 1", "boxed")),
        (r"\boxed{1}, \boxed{2} or \boxed{3}.", ("1, 2, 3", "boxed")),
        (r"\boxed{4}. Wait, that band is wrong: \boxed{5}, \boxed{5}", ("5", "boxed")),
        ("Final Answer: The largest $n$ is 34.", ("34", "answer_is")),
        ("The answer is for sure that of the three it is $x^2$, see 1.", ("1", "answer_is")),
        ("Therefore Alice wins with a probability of 2/3.", ("2/3", "last_math")),
        ("So what is left becomes x/2.", ("x/2", "last_math")),
        ("So there are 3 of them in 2^{10}.", ("2^{10}", "last_math")),
        ("It takes him exactly 3 1/2 hours.", ("3 1/2", "last_math")),
        ("The share of them is 20 percent of it.", ("20 percent", "last_math")),
        ("The ratio of these comes to 3:4.", ("3:4", "last_math")),
        ("The change comes to **-$18**.", ("-$18", "last_math")),
        ("working\n#### 1,234\n", ("1,234", "hash_marks")),
        ("The final answer is: $x^2$. Checked.", ("x^2", "answer_is")),
        ("The answer is 18 dollars. I hope so.", ("18 dollars", "answer_is")),
        ("The answer is $2$ and $3$.", ("$2$ and $3$", "answer_is")),
        ("**Answer:** 7", ("7", "answer_is")),
        (r"(3, \frac{\pi}{2})", (r"(3, \frac{\pi}{2})", "whole")),
        ("27, 93", ("27, 93", "whole")),
        ("10 weeks", ("10 weeks", "whole")),
        ("ellipse", ("ellipse", "whole")),
        ("So in the end we have $y = 4$.", ("y = 4", "last_math")),
        ("Adding 3 and 4 gives 7 apples.", ("7", "last_math")),
    ],
)
def test_the_first_rule_that_applies_finds_the_answer_and_is_named(text: str, found: tuple[str, str]) -> None:
    """F03, F33."""
    assert extract.find("any", text) == found


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"so \boxed{18}.", "18"),
        (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
        (r"\boxed{1} and \boxed{2}", None),
        (r"\boxed{2} and again \boxed{2}", None),
        (r"\boxed{x = \boxed{5}}", None),
        (r"\boxed{3} but \boxed{4", None),
        (r"the answer is 18", None),
        (r"\boxed 5", None),
        (r"\boxedeq{1} \boxed{5}", "5"),
    ],
)
def test_strict_boxes_take_the_only_box_there_is(text: str, answer: str | None) -> None:
    found = extract.find("boxed_strict", text)
    assert (found.text if found else None) == answer


@pytest.mark.parametrize(
    ("mode", "text", "answer"),
    [
        ("the_answer_is", "The answer is 5, no: the answer is 6.", "6"),
        ("the_answer_is", r"\boxed{5}", None),
        ("the_answer_is", "Answer: $x+1$", "x+1"),
        ("last_number", r"\boxed{5} or 6", "6"),
        ("minerva", "Final Answer: The final answer is $5$. I hope it is correct.", "$5$"),
        ("minerva", r"\boxed{5}", None),
        ("minerva", "Final Answer: The final answer is $5$", None),
        ("minerva", "Final Answer: The final answer is $5$. ", "$5$"),
        ("any", "see file v1", None),
    ],
)
def test_a_mode_reads_by_its_own_rule_alone(mode: str, text: str, answer: str | None) -> None:
    found = extract.find(mode, text)
    assert (found.text if found else None) == answer


def test_text_after_the_first_stop_string_is_not_looked_at() -> None:
    """F12: 81 % of completions ran on into invented questions."""
    response = "The answer is 5.\nQuestion: what else?\nThe answer is 6."
    assert extract.before_stop(response, ["Q:", "Question:", ""]) == "The answer is 5.\n"
