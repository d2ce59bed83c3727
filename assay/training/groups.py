"""One step's groups: sampled until each has seen right and wrong answers, and replaced where all its rewards are equal.

    until_mixed          chunk after chunk for the prompts that have not seen enough         assay.statistics.stopping
    replacement_rounds   a group that teaches nothing makes room for another prompt's,
                         of the same task                                                    2503.14476 §3.2

Both are off unless an arm asks for them: then every group is sampled once and stays. Nothing is thrown away unseen: the
completions of a group that made room are returned as well, marked as not `used`; those of a prompt that was not chosen
for the step, as `spare`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

from assay.contracts.schedule import Allocation
from assay.contracts.training import ChunkSpec, PromptSpec
from assay.statistics.stopping import is_enough
from assay.training.rollout import Rollout

Collect = Callable[[Sequence[Allocation]], list[Rollout]]
"""Samples and scores groups; rollouts come group after group."""
Group = list[Rollout]


def collect_groups(
    collect: Collect, chosen: Sequence[Allocation], spares: Sequence[Allocation], spec: PromptSpec
) -> list[Rollout]:
    """Rollouts of a step: as many groups as were chosen, then, marked, those of the groups that were replaced.

    A group makes room for one of its own task alone, so what is used has the chosen mix of tasks.
    """
    groups, unused = _sample(collect, chosen, spec), list[Group]()
    for _ in range(spec.replacement_rounds):
        idle = [place for place, group in enumerate(groups) if not _teaches(group)]
        offered, spares = _offer([_task(groups[place]) for place in idle], spares)
        sampled = [[replace(rollout, spare=True) for rollout in group] for group in _sample(collect, offered, spec)]
        unused += [_exchanged(group, groups, idle) for group in sampled]
    kept = [rollout for group in groups for rollout in group]
    return kept + [replace(rollout, used=False) for group in unused for rollout in group]


def _offer(tasks: Sequence[str], spares: Sequence[Allocation]) -> tuple[list[Allocation], list[Allocation]]:
    """The next spare of each of these tasks, as often as it is named, and the spares that are left."""
    wanted, offered, left = Counter(tasks), list[Allocation](), list[Allocation]()
    for spare in spares:
        task = spare.prompt.task
        (offered if wanted[task] > 0 else left).append(spare)
        wanted[task] -= 1
    return offered, left


def _exchanged(group: Group, groups: list[Group], idle: list[int]) -> Group:
    """Put a group that teaches in the place of an idle one of its task. Returns which of the two is not used."""
    if not _teaches(group):
        return group
    place = next(place for place in idle if _task(groups[place]) == _task(group))
    idle.remove(place)
    replaced, groups[place] = groups[place], group
    return replaced


def _task(group: Group) -> str:
    return group[0].prompt.task


def _teaches(group: Group) -> bool:
    return len({rollout.reward for rollout in group if not math.isnan(rollout.reward)}) > 1


def _sample(collect: Collect, chosen: Sequence[Allocation], spec: PromptSpec) -> list[Group]:
    if not chosen:
        return []
    if spec.allocation == "until_mixed":
        return _until_mixed(collect, chosen, spec.until_mixed)
    found = _by_prompt(collect(chosen))
    return [found[group.prompt.id] for group in chosen]


def _until_mixed(collect: Collect, chosen: Sequence[Allocation], spec: ChunkSpec) -> list[Group]:
    found: dict[str, Group] = {group.prompt.id: [] for group in chosen}
    asking = list(chosen)
    while asking:
        for prompt_id, chunk in _by_prompt(collect(asking)).items():
            found[prompt_id] += chunk
        asking = [_next_chunk(group, spec) for group in asking if not _seen_enough(found[group.prompt.id], spec)]
    return list(found.values())


def _next_chunk(group: Allocation, spec: ChunkSpec) -> Allocation:
    return Allocation(group.prompt, spec.chunk_samples, group.first_index + group.samples)


def _seen_enough(group: Group, spec: ChunkSpec) -> bool:
    judged = [rollout for rollout in group if rollout.judged]
    return is_enough(len(judged), sum(rollout.verdict.status == "correct" for rollout in judged), len(group), spec)


def _by_prompt(rollouts: Sequence[Rollout]) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for rollout in rollouts:
        groups.setdefault(rollout.prompt.id, []).append(rollout)
    return groups
