"""What must hold for every id and every selection."""

from __future__ import annotations

from collections import Counter

from hypothesis import assume, given
from hypothesis import strategies as st

from assay.contracts.errors import DataError
from assay.contracts.records import Problem
from assay.tasks.ids import canonical_id
from assay.tasks.splits import stratified

LEVELS = st.lists(st.sampled_from("abcd"), min_size=1, max_size=60)


@given(st.text())
def test_writing_an_id_twice_changes_nothing(raw: str) -> None:
    """F06."""
    try:
        once = canonical_id("t", raw)
    except DataError:
        assume(False)
    assert canonical_id("t", once.removeprefix("t/")) == once


@given(LEVELS, st.data(), st.integers(0, 2**31))
def test_a_selection_has_the_size_asked_for_and_each_level_its_share(
    levels: list[str], data: st.DataObject, seed: int
) -> None:
    problems = [Problem(f"t/{i}", "t", str(i), "", level) for i, level in enumerate(levels)]
    count = data.draw(st.integers(0, len(problems)))
    chosen = stratified(problems, count, seed, "heldout")
    assert len({problem.id for problem in chosen}) == len(chosen) == count
    sizes, taken = Counter(levels), Counter(problem.level for problem in chosen)
    for level, size in sizes.items():
        assert abs(taken[level] - count * size / len(problems)) < 1
