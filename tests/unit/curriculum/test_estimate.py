"""Pass rates of the base model: independent of the sharding, and whole after a kill."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from assay.contracts.ablation import CurriculumSpec
from assay.contracts.records import PromptRow, Verdict
from assay.contracts.sampling import Completion, Progress, SampleRequest
from assay.contracts.task import TaskSpec
from assay.curriculum.estimate import CurriculumSample, CurriculumSampler, PassRate, pass_rates
from assay.storage import open_store
from assay.storage.artifacts import Artifact

TASK = TaskSpec.model_validate(
    {
        "name": "toy",
        "source": {"kind": "arithmetic", "levels": {"all": [2, 1]}},
        "prompt": "{question}",
        "max_completion_tokens": 8,
    }
)
PROMPTS = [PromptRow(f"toy/{i}", "toy", "train", "q", "1", "all", "q", [i]) for i in range(11)]


def quiet(_: int) -> None:
    """No progress bar."""


class SeedSampler:
    """Writes the request's seed; dies after so many requests."""

    def __init__(self, dies_after: int = 10**9) -> None:
        self.left = dies_after
        self.requests: list[SampleRequest] = []

    def generate(self, requests: Sequence[SampleRequest], progress: Progress | None = None) -> list[Completion]:
        self.left -= len(requests)
        if self.left < 0:
            raise KeyboardInterrupt
        self.requests += requests
        ends = ["length" if r.seed % 5 == 0 else "stop" for r in requests]
        written = [Completion(str(r.seed), (1, 2), (0.0, 0.0), end) for r, end in zip(requests, ends, strict=True)]
        if progress:
            progress(dict(enumerate(written)))
        return written


class SeedPool:
    """Right for even seeds; fails on one in seven."""

    def score(self, _: str, pairs: Sequence[tuple[str, str]], **__: Any) -> list[Verdict]:
        return [
            Verdict("timeout", 0.0)
            if int(text) % 7 == 0
            else Verdict("correct", 1.0)
            if int(text) % 2 == 0
            else Verdict("wrong", 0.0)
            for text, _ in pairs
        ]


def runner(root: Path, sampler: SeedSampler, shard: int = 4) -> CurriculumSampler:
    spec = CurriculumSpec(samples_per_prompt=8, shard_prompts=shard)
    pool: Any = SeedPool()
    return CurriculumSampler(
        sampler, pool, {"toy": TASK}, spec, 5, Artifact(open_store(str(root)), "curriculum", "0" * 20)
    )


@pytest.mark.parametrize("shard", [1, 3, 11, 500])
def test_samples_do_not_depend_on_the_sharding(tmp_path: Path, shard: int) -> None:
    whole = runner(tmp_path / "a", SeedSampler(), 4).run(PROMPTS, quiet)
    other = runner(tmp_path / "b", SeedSampler(), shard).run(PROMPTS, quiet)
    assert other == whole
    assert [(s.problem_id, s.sample_index) for s in whole] == [(p.id, i) for p in PROMPTS for i in range(8)]


def test_no_two_samples_share_a_seed(tmp_path: Path) -> None:
    """F01."""
    sampler = SeedSampler()
    runner(tmp_path, sampler).run(PROMPTS, quiet)
    assert len({request.seed for request in sampler.requests}) == 88


@pytest.mark.parametrize("alive", range(0, 88, 20))
def test_a_killed_run_resumes_by_shard_with_identical_samples(tmp_path: Path, alive: int) -> None:
    whole = runner(tmp_path / "whole", SeedSampler()).run(PROMPTS, quiet)
    with pytest.raises(KeyboardInterrupt):
        runner(tmp_path / "killed", SeedSampler(alive)).run(PROMPTS, quiet)
    again, counted = SeedSampler(), []
    assert runner(tmp_path / "killed", again).run(PROMPTS, counted.append) == whole
    assert len(again.requests) == 88 - alive // 32 * 32
    assert sum(counted) == 88


def sample(problem: str, status: Any, reason: Any = "stop") -> CurriculumSample:
    return CurriculumSample(problem, "toy", "all", 0, "", reason, 1, status)


def test_pass_rates_count_judged_completions_and_keep_failures_apart() -> None:
    """F19."""
    rows = [
        *(sample("toy/a", status) for status in ("correct", "wrong", "unparseable", "timeout", "error", "correct")),
        sample("toy/b", "wrong", "length"),
        sample("toy/c", "error"),
    ]
    assert pass_rates(rows) == [
        PassRate("toy/a", "toy", "all", n=4, c=2, failed=2, truncated=0),
        PassRate("toy/b", "toy", "all", n=1, c=0, failed=0, truncated=1),
        PassRate("toy/c", "toy", "all", n=0, c=0, failed=1, truncated=0),
    ]
    assert [rate.rate for rate in pass_rates(rows)] == [0.5, 0.0, 0.0]
