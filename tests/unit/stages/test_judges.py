"""What a judge costs stands among a stage's metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from assay.contracts.verifier import STRICT, JudgeVerifier
from assay.stages.judges import judge_costs
from assay.verifiers import registry
from tests.unit.verifiers.judge_server import judge_server

REFERENCE = json.dumps({"question": "Why?", "gold": "Because."})


def test_a_stage_reports_what_its_judges_cost_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ASSAY_CACHE", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    with judge_server() as server:
        judge = JudgeVerifier(url=server.url, model="m", rubric="{response}")
        registry.judge(judge, "asked before the stage begins", REFERENCE)
        with judge_costs([judge, STRICT, judge.model_copy(update={"scale": 5})]) as costs:
            for response in ("one", "two", "one"):
                registry.judge(judge, response, REFERENCE)
    assert costs == {
        "judge_calls": 2.0, "judge_cache_hits": 1.0, "judge_prompt_tokens": 200.0, "judge_completion_tokens": 20.0
    }  # fmt: skip


def test_a_stage_without_a_judge_reports_none() -> None:
    with judge_costs([STRICT]) as costs:
        registry.judge(STRICT, "\\boxed{1}", "1")
    assert costs == {}
