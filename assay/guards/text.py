"""What broken text looks like, without a language model."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

CHAT_MARKERS = (
    "<|im_start|>", "<|im_end|>", "<|start_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>",
    "[INST]", "[/INST]", "<|user|>", "<|assistant|>", "<|system|>",
)  # fmt: skip
"""Turn markers of the common chat templates (ChatML, Llama 3, Gemma, Llama 2 and Mistral, Zephyr)."""

FOREIGN_SHARE = 0.2
"""Letters of scripts that the prompt does not use, beyond which a text is taken for garbage."""

_REPEATED = re.compile(r"(.{1,8}?)\1{9,}", re.DOTALL)


def is_garbage(prompt: str, completion: str) -> bool:
    """Blank, undecodable, turn markers, one unit over and over, or letters of scripts foreign to the prompt (F02)."""
    blank = not completion.strip()
    markers = any(marker in completion for marker in CHAT_MARKERS)
    return blank or markers or "\ufffd" in completion or is_repetitive(completion) or _is_foreign(prompt, completion)


def is_repetitive(text: str) -> bool:
    """Whether one unit of up to eight characters, ten or more times in a row, covers over half of the text (F24)."""
    longest = max((len(match.group()) for match in _REPEATED.finditer(text)), default=0)
    return longest * 2 > len(text)


def _is_foreign(prompt: str, completion: str) -> bool:
    home = {_script(letter) for letter in prompt if letter.isalpha()} | {"LATIN", "GREEK"}
    letters = [letter for letter in completion if letter.isalpha()]
    foreign = sum(_script(letter) not in home for letter in letters)
    return foreign > FOREIGN_SHARE * len(letters)


def _script(letter: str) -> str:
    """First word of the letter's Unicode name: LATIN, CYRILLIC, CJK, …; mathematical letters count as Latin."""
    name = unicodedata.name(letter, "UNNAMED").split()[0]
    return "LATIN" if name in {"MATHEMATICAL", "SCRIPT", "DOUBLE-STRUCK", "BLACK-LETTER", "FULLWIDTH"} else name


def distinct_share(tokens: Sequence[int], n: int = 4, tail: int = 512) -> float:
    """Distinct n-grams over all n-grams of the last `tail` tokens: 1 in prose, near 0 in a loop (F21, F24).

    distinct-n, 1510.03055 §5.2. A completion too short for two n-grams repeats nothing: 1.
    """
    end = tokens[-tail:]
    grams = [tuple(end[start : start + n]) for start in range(len(end) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0
