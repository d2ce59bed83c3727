"""Stop strings over tokens: cheap to ask after every token, exact in the text they leave.

A stop string can only be completed by a token whose text holds the string's last character: others skip decoding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from assay.verifiers.extract import before_stop


class Decoder(Protocol):
    """What is asked of a tokenizer here."""

    def __len__(self) -> int: ...

    def decode(
        self, token_ids: Sequence[int], skip_special_tokens: bool = ..., clean_up_tokenization_spaces: bool = ...
    ) -> str: ...


class StopWatcher:
    """Knows when a task's stop strings appear in a growing list of tokens."""

    def __init__(self, tokenizer: Decoder, stop: tuple[str, ...]) -> None:
        self.tokenizer = tokenizer
        self.stop = stop
        self.enders = self._enders() if stop else frozenset()
        # A token is at least one byte, so this many tokens always cover the longest stop string.
        self.tail_tokens = max((len(string.encode()) for string in stop), default=0) + 1

    def _enders(self) -> frozenset[int]:
        last_characters = {string[-1] for string in self.stop}
        texts = ((token, self._decode([token])) for token in range(len(self.tokenizer)))
        return frozenset(token for token, text in texts if "\ufffd" in text or not last_characters.isdisjoint(text))

    def _decode(self, tokens: Sequence[int]) -> str:
        return self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False)

    def completed_by(self, token: int, tokens: Sequence[int]) -> bool:
        """Whether the last of `tokens`, which is `token`, completes a stop string."""
        if token not in self.enders:
            return False
        tail = self._decode(tokens[-self.tail_tokens :])
        return any(string in tail for string in self.stop)

    def text(self, tokens: Sequence[int]) -> str:
        """The completion's text, cut before the first stop string."""
        return completion_text(self.tokenizer, tokens, self.stop)


def completion_text(tokenizer: Decoder, tokens: Sequence[int], stop: tuple[str, ...]) -> str:
    """What a completion says, cut before the first stop string; `tokens` without the one that ended it."""
    return before_stop(tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False), stop)
