"""The judge's requests, taken by `vllm serve` itself; ASSAY_VLLM names the program of another environment."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from assay.contracts.errors import Retryable, SpecError
from assay.contracts.verifier import JudgeVerifier
from assay.verifiers import VerifierPool, endpoint
from assay.verifiers.replies import Usage

VLLM = os.environ.get("ASSAY_VLLM") or shutil.which("vllm")
MODEL = Path(__file__).parents[3] / "models" / "sums-500k"
CONTEXT_TOKENS = 2_048

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(VLLM is None, reason="vllm is not installed; ASSAY_VLLM names the program"),
]


def with_long_context(folder: Path) -> Path:
    """The quickstart's model with room for a rubric, which it cannot follow, and a template for chats."""
    shutil.copytree(MODEL, folder)
    for name, field in (("config.json", "max_position_embeddings"), ("tokenizer_config.json", "model_max_length")):
        settings = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(settings | {field: CONTEXT_TOKENS}))
    (folder / "chat_template.jinja").write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    return folder


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JudgeVerifier]:
    folder = tmp_path_factory.mktemp("vllm")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        str(VLLM), "serve", str(with_long_context(folder / "model")), "--served-model-name", "sums", "--host",
        "127.0.0.1", "--port", str(port), "--enforce-eager", "--dtype", "float32", "--max-num-seqs", "16",
    ]  # fmt: skip
    settings = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "VLLM_CPU_KVCACHE_SPACE": "1"}
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | settings, stdout=log, stderr=log)
    spec = JudgeVerifier(
        url=f"http://127.0.0.1:{port}/v1", model="sums", rubric="{response}\nRight: {gold}", max_tokens=32
    )
    try:
        wait_for(spec, server, folder / "log")
        yield spec
    finally:
        server.terminate()
        server.wait(60)


def wait_for(spec: JudgeVerifier, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(20):
        assert server.poll() is None, log.read_text()[-2000:]
        try:
            return endpoint.ready(spec.model_copy(update={"deadline_s": 15.0, "attempts": 20}))
        except Retryable:
            continue
    pytest.fail(f"not ready: {log.read_text()[-2000:]}")


def test_vllm_takes_the_requests_and_counts_their_tokens(
    judge: JudgeVerifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What so small a model writes is no score: an `error`, never `wrong` (F19)."""
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    items = [(f"{number}+1={number + 1}", str(number + 1)) for number in range(8)]
    before = endpoint.usage(judge)
    with VerifierPool() as pool:
        first, again = pool.score(judge, items), pool.score(judge, items)
    cost = endpoint.usage(judge) - before
    assert [verdict.status for verdict in first] == ["error"] * 8
    assert all("the reply was cut off" in verdict.detail or "Score" in verdict.detail for verdict in first)
    assert [verdict.detail for verdict in again] == [verdict.detail for verdict in first]
    assert (cost.calls, cost.cache_hits) == (8, 8)
    assert cost.prompt_tokens > 8 * 100
    assert 8 <= cost.completion_tokens <= 8 * 32


def test_vllm_refuses_what_it_does_not_serve(judge: JudgeVerifier) -> None:
    with pytest.raises(SpecError, match="does not serve 'other'"):
        endpoint.ready(judge.model_copy(update={"model": "other"}))


def test_a_budget_beyond_the_model_is_an_error_that_quotes_vllm(
    judge: JudgeVerifier, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    greedy = judge.model_copy(update={"max_tokens": 100_000})
    before = endpoint.usage(greedy)
    with VerifierPool() as pool:
        (verdict,) = pool.score(greedy, [("1", "1")])
    assert verdict.status == "error"
    assert "HTTP 400" in verdict.detail
    assert endpoint.usage(greedy) - before == Usage(calls=1)
