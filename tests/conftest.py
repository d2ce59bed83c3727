"""Tiny models for every room that needs one: a byte tokenizer whose id 0 is a real token, and a random Qwen3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.models import END, PAD, tiny_model
from tests.s3.server import s3_server

__all__ = ["byte_tokenizer", "make_model", "model_directory", "s3_server"]

settings.register_profile("assay", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("assay")

SHARING = ("tests/faults/stages", "tests/pipeline")
"""Folders whose files share something dear."""


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """A file's tests run in one process, and so do a sharing folder's: what they share is made once."""
    from xdist.scheduler import LoadFileScheduling

    class ByFileOrFolder(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            folder = file.rpartition("/")[0]
            return folder if folder in SHARING else file

    return ByFileOrFolder(config, log)


@pytest.fixture(scope="session")
def byte_tokenizer() -> Any:
    """One token a UTF-8 byte; id 0 is `!`, as in Qwen3 (F10)."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(letters)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>", pad_token="<|pad|>")
    assert tokenizer.convert_ids_to_tokens(0) == "!"
    assert (tokenizer.eos_token_id, tokenizer.pad_token_id, len(tokenizer)) == (END, PAD, 258)
    return tokenizer


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """A random Qwen3 of some 50 thousand parameters; `spread` is the standard deviation of its weights."""
    import torch

    torch.set_num_threads(1)

    return tiny_model


@pytest.fixture(scope="session")
def model_directory(tmp_path_factory: pytest.TempPathFactory, make_model: Any, byte_tokenizer: Any) -> Path:
    """The random Qwen3 and its tokenizer as Hugging Face writes them."""
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    byte_tokenizer.save_pretrained(folder)
    return folder
