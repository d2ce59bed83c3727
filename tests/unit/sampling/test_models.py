"""Reading models: what is accepted, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, LlamaConfig, MambaConfig, Qwen2Config

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import ModelError
from assay.contracts.stage import Runtime
from assay.sampling.models import end_token_ids, load_model, load_tokenizer, pick_device, position_limit

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


def test_a_model_stored_in_half_precision_is_fp32_on_any_device(tmp_path: Path, make_model: Any) -> None:
    """In bf16 an update of 1e-6 to a weight of 0.02 rounds to nothing, and training would stand still."""
    make_model().to(torch.bfloat16).save_pretrained(tmp_path)
    assert load_model(spec(tmp_path), torch.device("meta")).dtype == torch.float32


def test_every_end_token_of_tokenizer_and_generation_config_counts(make_model: Any, byte_tokenizer: Any) -> None:
    model = make_model()
    model.generation_config.eos_token_id = [3, 256]
    assert end_token_ids(model.generation_config, byte_tokenizer) == (3, 256)
    model.generation_config.eos_token_id = None
    assert end_token_ids(model.generation_config, byte_tokenizer) == (256,)


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


def test_a_model_that_lacks_a_weight_is_refused_where_transformers_would_make_one_up(
    tmp_path: Path, make_model: Any
) -> None:
    make_model().save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"1 weights of the model are not in its files.*layers\.1\.mlp\.up_proj"):
        load_model(spec(tmp_path), CPU)


@pytest.mark.parametrize("damage", ["cut", "misshapen"])
def test_weights_that_cannot_be_read_are_refused_by_path(tmp_path: Path, make_model: Any, damage: str) -> None:
    make_model().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    else:
        save_file({**load_file(file), "model.norm.weight": torch.zeros(3)}, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_model(spec(tmp_path), CPU)


def test_a_directory_without_a_tokenizer_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "qwen3"}')
    with pytest.raises(ModelError, match=str(tmp_path)):
        load_tokenizer(spec(tmp_path))


def test_the_runtime_picks_device_and_threads() -> None:
    assert pick_device(Runtime(device="cpu", threads=1)) == CPU
    assert torch.get_num_threads() == 1


YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8_192,
}  # fmt: skip


@pytest.mark.parametrize(
    ("config", "limit"),
    [
        (Qwen2Config(max_position_embeddings=32_768), 32_768),
        (Qwen2Config(max_position_embeddings=32_768, rope_parameters=YARN), 131_072),
        (Qwen2Config(max_position_embeddings=131_072, rope_parameters=YARN), 131_072),
        (LlamaConfig(max_position_embeddings=2_048, rope_parameters={"rope_type": "linear", "factor": 2.0}), 4_096),
        (LlamaConfig(max_position_embeddings=131_072, rope_parameters=LLAMA3), 131_072),
        (GPT2Config(n_positions=512), 512),
        (MambaConfig(), None),
    ],
)
def test_positions_are_counted_as_vllm_counts_them(config: Any, limit: int | None) -> None:
    """Whether the length in the config is that before or after stretching depends on how it is stretched."""
    assert position_limit(config) == limit
