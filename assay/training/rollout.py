"""One step's completions: sample every group, verify, reward.

Request seeds hang from (run seed, step, problem id, sample index), so no two completions of a run share one (F01) and a
resumed run asks for what the killed one asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from assay.contracts.records import PromptRow, Verdict
from assay.contracts.sampling import Completion, Sampler, SampleRequest
from assay.contracts.schedule import Allocation
from assay.contracts.seeds import derive
from assay.contracts.task import TaskSpec
from assay.contracts.training import TrainSpec
from assay.rewards.compose import Composer
from assay.rewards.judge import judge
from assay.sampling.requests import request_for
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

    @property
    def prompt_tokens(self) -> Sequence[int]:
        return self.prompt.prompt_tokens

    @property
    def completion_tokens(self) -> Sequence[int]:
        return self.completion.tokens


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
        wanted = [(group.prompt, index) for group in groups for index in range(group.samples)]
        requests = [self._request(purpose, step, prompt, index) for prompt, index in wanted]
        completions = self.sampler.generate(requests)
        prompts = [prompt for prompt, _ in wanted]
        verdicts = judge(self.pool, self.tasks, prompts, completions)
        rewards = self.composer.rewards(step, prompts, completions, verdicts)
        return [
            Rollout(prompt, index, request.seed, completion, verdict, reward.parts, reward.total)
            for (prompt, index), request, completion, verdict, reward in zip(
                wanted, requests, completions, verdicts, rewards, strict=True
            )
        ]

    def _request(self, purpose: str, step: int, prompt: PromptRow, index: int) -> SampleRequest:
        seed = derive(self.seed, purpose, step, prompt.id, index)
        return request_for(prompt, self.tasks[prompt.task], self.spec.temperature, seed)
