"""An id has one spelling, and no join loses a row without saying so (F06)."""

from __future__ import annotations

import pytest

from assay.contracts.errors import DataError
from assay.tasks.ids import canonical_id, require_known, require_unique


def test_the_spelling_that_lost_1960_ids_is_one_id() -> None:
    """F06: the curriculum said counting_and_probability, the data `Counting & Probability`."""
    assert canonical_id("math", "Counting & Probability") == "math/counting_and_probability"
    assert canonical_id("math", "counting_and_probability") == "math/counting_and_probability"


@pytest.mark.parametrize(
    "raw", ["test/precalculus/807.json", "Test-Precalculus 807 json", " test_precalculus__807.json "]
)
def test_signs_and_case_do_not_count(raw: str) -> None:
    assert canonical_id("math", raw) == "math/test_precalculus_807_json"


def test_letters_of_every_script_count() -> None:
    assert canonical_id("quiz", "Frage Ä") != canonical_id("quiz", "Frage Ö")
    assert canonical_id("quiz", "１２") == "quiz/12"


def test_an_id_of_signs_alone_is_refused() -> None:
    with pytest.raises(DataError, match="neither letters nor digits"):
        canonical_id("quiz", "--- ")


def test_missing_ids_are_listed_and_counted() -> None:
    """F06: 1,960 of 4,691 ids were skipped silently."""
    wanted = [f"math/{i}" for i in range(4691)]
    with pytest.raises(DataError) as caught:
        require_known(wanted, wanted[1960:], "curriculum.parquet")
    message = str(caught.value)
    assert message.startswith("curriculum.parquet: 1960 ids are not in the data: math/0, math/1, ")
    assert "and 1940 more" in message


def test_known_ids_pass() -> None:
    require_known(["a/1", "a/1"], {"a/1", "a/2"}, "here")


def test_repeated_ids_are_refused() -> None:
    with pytest.raises(DataError, match="1 ids name several problems: a/1"):
        require_unique(["a/1", "a/2", "a/1"], "here")
