"""The small ablation with vLLM in place of the torch engine: the same answers where nothing is drawn, the same figures
in distribution where something is, and no weights left behind.
"""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
import yaml

from assay.contracts.ablation import ModelSpec
from assay.contracts.records import SampleRow
from assay.contracts.sampling import SampleRequest
from assay.curriculum.estimate import PassRate
from assay.sampling.models import load_model, load_tokenizer
from assay.sampling.torch_engine import TorchSampler
from assay.storage import Artifact, open_store
from assay.storage.tables import rows_from_parquet
from assay.training.history import read_metrics
from tests.pipeline.conftest import SMALL, assay

pytest.importorskip("vllm", reason="vLLM is not installed: pip install -e '.[serve]'", exc_type=ImportError)
pytestmark = pytest.mark.slow

ONE_ARM = [*SMALL, "arms={base settings: {}}", "train.steps=6", "train.checkpoint_every_steps=3"]


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Sampler -> the artifacts of a run with it."""
    return {sampler: run(sampler, tmp_path_factory.mktemp(sampler)) for sampler in ("torch", "vllm")}


def run(sampler: str, folder: Path) -> Path:
    runtime = {"device": "cpu", "lanes": 1, "threads": 1, "sampler": sampler, "vllm": {"cpu_cache_bytes": 1 << 28}}
    profile = folder / "profile.yaml"
    profile.write_text(yaml.safe_dump({"runtime": runtime}))
    places = ["--profile", str(profile), "--root", str(folder / "artifacts"), "--out", str(folder / "out")]
    done = assay("run", "configs/ablations/quickstart.yaml", *ONE_ARM, *places)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "artifacts"


def only(root: Path, pattern: str) -> Path:
    (found,) = root.glob(pattern)
    return found


def samples(root: Path, model: str, mode: str) -> dict[tuple[str, int], SampleRow]:
    file = only(root, f"evaluate/*/{model}/sums/samples.parquet")
    rows = rows_from_parquet(file.read_bytes(), SampleRow)
    return {(row.problem_id, row.sample_index): row for row in rows if row.mode == mode}


def metrics(root: Path) -> list[dict[str, float]]:
    key = only(root, "train/*").name
    return list(read_metrics(Artifact(open_store(str(root)), "train", key)).values())


def test_each_run_says_who_wrote(roots: dict[str, Path]) -> None:
    for sampler, root in roots.items():
        assert json.loads(only(root, "train/*/run.json").read_text())["sampler"].startswith(sampler)
        for stage in ("curriculum", "evaluate"):
            manifests = [json.loads(file.read_text()) for file in root.glob(f"{stage}/*/manifest.json")]
            assert manifests
            assert all(manifest["environment"]["sampler"].startswith(sampler) for manifest in manifests)


def test_the_content_keys_are_the_same(roots: dict[str, Path]) -> None:
    """How completions are written is not part of what they are."""
    keys = [
        sorted(str(file.parent.relative_to(root)) for file in root.glob("*/*/manifest.json")) for root in roots.values()
    ]
    assert keys[0] == keys[1]
    assert len(keys[0]) >= 9


def test_greedy_answers_of_the_base_model_are_the_same(roots: dict[str, Path]) -> None:
    torch_rows, vllm_rows = (samples(root, "base", "greedy") for root in roots.values())
    assert {key: row.text for key, row in vllm_rows.items()} == {key: row.text for key, row in torch_rows.items()}
    assert len({row.text for row in vllm_rows.values()}) > 10


def test_each_checkpoint_was_evaluated_with_its_own_weights(roots: dict[str, Path]) -> None:
    """vLLM is started with the first and handed the weights of the others."""
    root = roots["vllm"]
    seen = set()
    for export in sorted(root.glob("export/*/step-*")):
        spec = ModelSpec(path=str(export), kind="base")
        tokenizer = load_tokenizer(spec)
        own = TorchSampler(load_model(spec, torch.device("cpu")), tokenizer, 64)
        rows = list(samples(root, export.name, "greedy").values())
        asked = [SampleRequest(tuple(prompts(root)[row.problem_id]), 0, row.completion_tokens, 0.0) for row in rows]
        texts = tuple(completion.text for completion in own.generate(asked))
        assert [row.text for row in rows] == list(texts)
        seen.add(texts)
    assert len(seen) > 1, "training changed no greedy answer: this shows nothing"


def prompts(root: Path) -> dict[str, list[int]]:
    rows = pq.read_table(only(root, "prepare/*/prompts.parquet")).to_pylist()
    return {row["id"]: row["prompt_tokens"] for row in rows}


def test_pass_rates_are_of_the_same_model(roots: dict[str, Path]) -> None:
    """Two samples of so many completions: within four standard errors of each other."""
    files = [only(root, "curriculum/*/passrates.parquet") for root in roots.values()]
    rates = [rows_from_parquet(file.read_bytes(), PassRate) for file in files]
    right, asked = ([sum(getattr(row, name) for row in rows) for rows in rates] for name in ("c", "n"))
    shares = [c / n for c, n in zip(right, asked, strict=True)]
    spread = (sum(share * (1 - share) / n for share, n in zip(shares, asked, strict=True))) ** 0.5
    assert abs(shares[0] - shares[1]) < 4 * spread
    assert 0.05 < min(shares) < 0.95


def test_training_is_on_policy_and_rewarded_alike(roots: dict[str, Path]) -> None:
    steps = {sampler: metrics(root) for sampler, root in roots.items()}
    assert [len(rows) for rows in steps.values()] == [6, 6]
    assert max(step["logprob_gap_max"] for step in steps["vllm"]) < 1e-3
    rewards = {sampler: sum(step["reward_mean"] for step in rows) / 6 for sampler, rows in steps.items()}
    completions = sum(step["samples"] for step in steps["vllm"])
    assert abs(rewards["torch"] - rewards["vllm"]) < 4 * (2 * 0.25 / completions) ** 0.5
    assert any(step["updates"] > 0 for step in steps["vllm"])
