"""Small data files and a tokenizer of one token a character."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.task import TaskSpec


class LetterTokenizer:
    """One token a character; the chat template marks the turns with `<user>` and `<assistant>`."""

    def __init__(self, chat_template: str | None = "turns") -> None:
        self.chat_template = chat_template

    def apply_chat_template(
        self, conversation: list[dict[str, str]], *, tokenize: bool, add_generation_prompt: bool
    ) -> str:
        assert not tokenize
        turns = "".join(f"<{turn['role']}>{turn['content']}\n" for turn in conversation)
        return turns + "<assistant>" * add_generation_prompt

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        return [0] * add_special_tokens + [ord(letter) for letter in text]


@pytest.fixture
def tokenizer() -> LetterTokenizer:
    return LetterTokenizer()


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def file_task(train: Path, **source: Any) -> TaskSpec:
    """A task over a file with fields `q` and `a`."""
    given = {"kind": "file", "train": str(train), "question": "{q}", "answer": "a"} | source
    return TaskSpec.model_validate(
        {"name": "quiz", "source": given, "prompt": "Q: {question}\nA:", "max_completion_tokens": 8}
    )
