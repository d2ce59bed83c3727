"""Reading models: what is accepted, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import ModelError
from assay.contracts.stage import Runtime
from assay.sampling.models import context_limit_tokens, end_token_ids, load_model, load_tokenizer, pick_device

CPU = torch.device("cpu")


def spec(path: Path) -> ModelSpec:
    return ModelSpec(path=str(path), kind="base")


def test_a_model_comes_back_in_fp32_and_evaluation_mode_with_the_very_weights(
    model_directory: Path, make_model: Any
) -> None:
    loaded = load_model(spec(model_directory), CPU)
    assert loaded.dtype == torch.float32
    assert not loaded.training
    for (name, found), (_, written) in zip(loaded.named_parameters(), make_model().named_parameters(), strict=True):
        assert torch.equal(found, written), name


def test_the_context_limit_is_the_configs(model_directory: Path) -> None:
    assert context_limit_tokens(spec(model_directory)) == 256


def test_every_end_token_of_tokenizer_and_generation_config_counts(make_model: Any, byte_tokenizer: Any) -> None:
    model = make_model()
    model.generation_config.eos_token_id = [3, 256]
    assert end_token_ids(model, byte_tokenizer) == (3, 256)
    model.generation_config.eos_token_id = None
    assert end_token_ids(model, byte_tokenizer) == (256,)


def test_a_tokenizer_without_an_end_token_is_refused(
    model_directory: Path, tmp_path: Path, byte_tokenizer: Any
) -> None:
    from transformers import PreTrainedTokenizerFast

    PreTrainedTokenizerFast(tokenizer_object=byte_tokenizer.backend_tokenizer).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text((model_directory / "config.json").read_text())
    with pytest.raises(ModelError, match="no eos_token"):
        load_tokenizer(spec(tmp_path))


def test_a_directory_that_holds_no_causal_model_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_model(spec(tmp_path), CPU)


def test_a_directory_without_a_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_tokenizer(spec(tmp_path))


def test_the_runtime_picks_device_and_threads() -> None:
    assert pick_device(Runtime(device="cpu", threads=1)) == CPU
    assert torch.get_num_threads() == 1
