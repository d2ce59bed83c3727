"""Properties of the arithmetic generator over every source a task file can name."""

from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from assay.contracts.task import ArithmeticSource
from assay.tasks.arithmetic import generate, space

shapes = st.tuples(st.integers(2, 8), st.integers(1, 4))
sources = st.builds(
    lambda chosen, seed, operators: ArithmeticSource.model_validate(
        {
            "kind": "arithmetic",
            "levels": {f"{t}x{d}": (t, d) for t, d in chosen},
            "seed": seed,
            "operators": operators,
        }
    ),
    chosen=st.lists(shapes, min_size=1, max_size=4, unique=True),
    seed=st.integers(0, 2**63),
    operators=st.sampled_from(["+", "+-"]),
)


@settings(max_examples=60, deadline=None)
@given(source=sources, count=st.integers(0, 120), split=st.text(max_size=8))
def test_every_list_is_distinct_even_and_right(source: ArithmeticSource, count: int, split: str) -> None:
    problems = generate(source, "sums", split, count)
    assert len({problem.id for problem in problems}) == len(problems)
    for level in source.levels:
        share = sum(problem.level == level for problem in problems)
        assert share in {count // len(source.levels), -(-count // len(source.levels)), space(source, level)}
    for problem in problems:
        signed = re.sub(r"[^\d+-]", "", problem.question)
        assert int(problem.gold) == sum(int(term) for term in re.findall(r"[+-]?\d+", signed))
        assert problem.id == f"sums/{signed}"
