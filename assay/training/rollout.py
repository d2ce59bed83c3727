"""One step's completions: sample every group, verify, reward. A completion is judged while others are being written.

Request seeds hang from (run seed, step, problem id, sample index), so no two completions of a run share one (F01) and a
resumed run asks for what the killed one asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from assay.contracts.records import PromptRow, Verdict, VerdictStatus
from assay.contracts.sampling import Completion, Sampler, SampleRequest
from assay.contracts.schedule import Allocation
from assay.contracts.seeds import derive
from assay.contracts.task import TaskSpec
from assay.contracts.training import TrainSpec
from assay.rewards.compose import Composer
from assay.rewards.judge import judge
from assay.sampling.requests import request_for
from assay.training.behind import Behind
from assay.verifiers import VerifierPool


@dataclass(frozen=True, slots=True)
class Rollout:
    """A completion with all that was said about it."""

    prompt: PromptRow
    sample_index: int
    request_seed: int
    completion: Completion
    verdict: Verdict
    parts: dict[str, float]
    reward: float
    """NaN when the verifier failed: the completion then neither teaches nor moves its group's mean (F19)."""
    verdicts: dict[str, VerdictStatus] = field(default_factory=dict)
    """Of each verifier, by the name of its part of the reward; the task's own is `correct`."""
    used: bool = True
    """False: its group was replaced by another prompt's, and nothing is learnt from it."""
    spare: bool = False
    """Its prompt was not chosen for the step: it was asked for in the place of one that taught nothing."""

    @property
    def judged(self) -> bool:
        """Whether the verifier could tell right from wrong."""
        return not math.isnan(self.parts["correct"])

    @property
    def prompt_tokens(self) -> Sequence[int]:
        return self.prompt.prompt_tokens

    @property
    def completion_tokens(self) -> Sequence[int]:
        return self.completion.tokens


_Score = tuple[Verdict, dict[str, float], float, dict[str, VerdictStatus]]
"""Verdict, parts and sum of a completion's reward, and what each verifier said."""


class RolloutCollector:
    """Samples and scores groups for one run."""

    def __init__(
        self, sampler: Sampler, pool: VerifierPool, tasks: Mapping[str, TaskSpec], spec: TrainSpec, seed: int
    ) -> None:
        self.sampler = sampler
        self.pool = pool
        self.tasks = tasks
        self.spec = spec
        self.seed = seed
        self.composer = Composer(spec.reward_weights, tasks, pool)

    def collect(self, purpose: str, step: int, groups: Sequence[Allocation]) -> list[Rollout]:
        """Rollouts of the groups, group after group. `purpose` names the branch of the seed tree."""
        wanted = [(group.prompt, index) for group in groups for index in group.indices]
        requests = [self._request(purpose, step, prompt, index) for prompt, index in wanted]

        def score(ended: Mapping[int, Completion]) -> dict[int, _Score]:
            scores = self._score(step, [wanted[place][0] for place in ended], list(ended.values()))
            return dict(zip(ended, scores, strict=True))

        with Behind(score) as scoring:
            completions = self.sampler.generate(requests, scoring.add)
            scores = scoring.results()
        return [
            Rollout(prompt, index, request.seed, completion, *scores[place])
            for place, ((prompt, index), request, completion) in enumerate(
                zip(wanted, requests, completions, strict=True)
            )
        ]

    def _score(self, step: int, prompts: Sequence[PromptRow], completions: Sequence[Completion]) -> list[_Score]:
        verdicts = judge(self.pool, self.tasks, prompts, completions)
        rewards = self.composer.rewards(step, prompts, completions, verdicts)
        judged = zip(verdicts, rewards, strict=True)
        return [(verdict, reward.parts, reward.total, reward.verdicts) for verdict, reward in judged]

    def _request(self, purpose: str, step: int, prompt: PromptRow, index: int) -> SampleRequest:
        seed = derive(self.seed, purpose, step, prompt.id, index)
        return request_for(prompt, self.tasks[prompt.task], self.spec.temperature, seed)
