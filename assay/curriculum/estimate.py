"""Sampling the base model: n completions for every training prompt, verified, in shards that survive a kill.

    shards/00003.parquet    one row per completion of prompts 192 … 255
    passrates.parquet       one row per prompt: n judged, c correct

Request seeds hang from (seed, prompt id, sample index): the result does not depend on the sharding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from assay.contracts.ablation import CurriculumSpec
from assay.contracts.records import FinishReason, PromptRow, Verdict, VerdictStatus
from assay.contracts.sampling import Completion, Sampler, SampleRequest
from assay.contracts.seeds import derive
from assay.contracts.task import TaskSpec
from assay.rewards.judge import judge
from assay.sampling.requests import request_for
from assay.storage.artifacts import Artifact
from assay.storage.tables import rows_from_parquet, rows_to_parquet
from assay.verifiers import VerifierPool


@dataclass(frozen=True, slots=True)
class CurriculumSample:
    """One completion of the base model."""

    problem_id: str
    task: str
    level: str
    sample_index: int
    text: str
    finish_reason: FinishReason
    completion_tokens: int
    status: VerdictStatus


@dataclass(frozen=True, slots=True)
class PassRate:
    """How often the base model solves a prompt: c of n judged completions; the verifier could not judge `failed`."""

    problem_id: str
    task: str
    level: str
    n: int
    c: int
    failed: int
    truncated: int

    @property
    def rate(self) -> float:
        """pass@1 = c / n; 0 when nothing could be judged."""
        return self.c / self.n if self.n else 0.0


class CurriculumSampler:
    """Runs the shards of one curriculum."""

    def __init__(
        self,
        sampler: Sampler,
        pool: VerifierPool,
        tasks: Mapping[str, TaskSpec],
        spec: CurriculumSpec,
        seed: int,
        artifact: Artifact,
    ) -> None:
        self.sampler = sampler
        self.pool = pool
        self.tasks = tasks
        self.spec = spec
        self.seed = seed
        self.artifact = artifact

    def run(
        self,
        prompts: Sequence[PromptRow],
        progress: Callable[[int], None],
        takes: Callable[[int], bool] = lambda _: True,
    ) -> list[CurriculumSample]:
        """All samples, or those of the shards that `takes` says yes to by index. Shards already stored are read, not
        sampled again. `progress` counts completions."""
        stored = {info.path for info in self.artifact.list("shards")}
        samples: list[CurriculumSample] = []
        for index, start in enumerate(range(0, len(prompts), self.spec.shard_prompts)):
            if not takes(index):
                continue
            path = f"shards/{index:05d}.parquet"
            if path in stored:
                shard = rows_from_parquet(self.artifact.read_bytes(path), CurriculumSample)
                progress(len(shard))
            else:
                shard = self._sample(prompts[start : start + self.spec.shard_prompts], progress)
                self.artifact.write_bytes(path, rows_to_parquet(shard, CurriculumSample))
            samples += shard
        return samples

    def _sample(self, prompts: Sequence[PromptRow], progress: Callable[[int], None]) -> list[CurriculumSample]:
        wanted = [(prompt, index) for prompt in prompts for index in range(self.spec.samples_per_prompt)]
        requests = [self._request(*pair) for pair in wanted]
        completions = self.sampler.generate(requests, lambda ended: progress(len(ended)))
        verdicts = judge(self.pool, self.tasks, [prompt for prompt, _ in wanted], completions)
        rows = zip(wanted, completions, verdicts, strict=True)
        return [_sample_row(prompt, index, text, verdict) for (prompt, index), text, verdict in rows]

    def _request(self, prompt: PromptRow, index: int) -> SampleRequest:
        seed = derive(self.seed, "curriculum", prompt.id, index)
        return request_for(prompt, self.tasks[prompt.task], self.spec.temperature, seed)


def _sample_row(prompt: PromptRow, index: int, completion: Completion, verdict: Verdict) -> CurriculumSample:
    return CurriculumSample(
        problem_id=prompt.id,
        task=prompt.task,
        level=prompt.level,
        sample_index=index,
        text=completion.text,
        finish_reason=completion.finish_reason,
        completion_tokens=len(completion.tokens),
        status=verdict.status,
    )


def pass_rates(samples: Sequence[CurriculumSample]) -> list[PassRate]:
    """One row per prompt, in the order of the samples."""
    groups: dict[str, list[CurriculumSample]] = {}
    for sample in samples:
        groups.setdefault(sample.problem_id, []).append(sample)
    return [_pass_rate(group) for group in groups.values()]


def _pass_rate(group: Sequence[CurriculumSample]) -> PassRate:
    failed = sum(sample.status in ("error", "timeout") for sample in group)
    first = group[0]
    return PassRate(
        problem_id=first.problem_id,
        task=first.task,
        level=first.level,
        n=len(group) - failed,
        c=sum(sample.status == "correct" for sample in group),
        failed=failed,
        truncated=sum(sample.finish_reason == "length" for sample in group),
    )
