"""Stop strings over tokens, with tokens that hold several characters or parts of one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.sampling.stops import StopWatcher


class PieceTokenizer:
    """Token ids are places in a list of byte strings; whatever is not UTF-8 shows as U+FFFD."""

    def __init__(self, pieces: list[bytes]) -> None:
        self.pieces = pieces

    def __len__(self) -> int:
        return len(self.pieces)

    def decode(self, token_ids: Sequence[int], **_: bool) -> str:
        return b"".join(self.pieces[token] for token in token_ids).decode(errors="replace")


PIECES = [b"Q", b"ue", b"stion", b":", b" a", b"n: Q", b"\n", b"\n\n", "½".encode()[:1], "½".encode()[1:], b"n:\n"]
TOKENIZER = PieceTokenizer(PIECES)
STOPS = ["Question:", "\n\n", "½", "n", "\nQ", "a½"]


def first_completion(tokens: Sequence[int], stop: Sequence[str]) -> int | None:
    """Number of tokens after which a stop string is first there, by decoding everything every time."""
    for count in range(1, len(tokens) + 1):
        if any(string in TOKENIZER.decode(tokens[:count]) for string in stop):
            return count
    return None


@given(
    st.lists(st.integers(0, len(PIECES) - 1), max_size=25),
    st.lists(st.sampled_from(STOPS), min_size=1, max_size=3, unique=True),
)
def test_a_stop_string_is_noticed_at_the_token_that_completes_it(tokens: list[int], stop: list[str]) -> None:
    """However it is cut into tokens, and never before (F12)."""
    watcher = StopWatcher(TOKENIZER, tuple(stop))
    noticed = [i for i in range(1, len(tokens) + 1) if watcher.completed_by(tokens[i - 1], tokens[:i])]
    assert (noticed[0] if noticed else None) == first_completion(tokens, stop)


def test_text_ends_before_the_first_stop_string() -> None:
    watcher = StopWatcher(TOKENIZER, ("Question:", "\n\n"))
    assert watcher.text([4, 6, 0, 1, 2, 3]) == " a\n"
    assert watcher.text([4, 7, 0]) == " a"


def test_without_stop_strings_nothing_completes_one() -> None:
    watcher = StopWatcher(TOKENIZER, ())
    assert not any(watcher.completed_by(token, [token]) for token in range(len(PIECES)))
    assert watcher.text([0, 1, 2]) == "Question"


@pytest.mark.parametrize("text", ["Question: 2 + 2", "½ is a half", "a\n\nb"])
def test_a_real_byte_tokenizer_is_watched_the_same(byte_tokenizer: Any, text: str) -> None:
    watcher = StopWatcher(byte_tokenizer, ("Question:", "½", "\n\n"))
    tokens = byte_tokenizer.encode(text, add_special_tokens=False)
    ends = [i for i in range(1, len(tokens) + 1) if watcher.completed_by(tokens[i - 1], tokens[:i])]
    assert byte_tokenizer.decode(tokens[: ends[0]]).endswith(("Question:", "½", "\n\n"))
