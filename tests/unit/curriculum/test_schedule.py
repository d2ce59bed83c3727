"""Which prompts a step sees: every one in its turn, none twice in a step, the same again after a resume."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from assay.contracts.errors import DataError, SpecError
from assay.contracts.records import PromptRow
from assay.contracts.schedule import PromptSchedule
from assay.contracts.training import TrainSpec
from assay.curriculum.estimate import PassRate
from assay.curriculum.schedule import filter_prompts, make_schedule


def prompt(number: int) -> PromptRow:
    return PromptRow(f"toy/{number:03d}", "toy", "train", "q", "1", "all", "q", [number])


def rates_of(prompts: Sequence[PromptRow], n: int = 20) -> dict[str, PassRate]:
    """Prompt i of N is solved i/N of the time."""
    return {p.id: PassRate(p.id, "toy", "all", n, round(n * i / len(prompts)), 0, 0) for i, p in enumerate(prompts)}


def spec(steps: int = 40, per_step: int = 4, **prompts: Any) -> TrainSpec:
    return TrainSpec.model_validate(
        {"steps": steps, "prompts_per_step": per_step, "samples_per_prompt": 6, "prompts": prompts}
    )


def ids(schedule: PromptSchedule, step: int) -> list[str]:
    return [group.prompt.id for group in schedule.select(step)]


PROMPTS = [prompt(i) for i in range(18)]
ORDERS = ["shuffled", "easy_to_hard", "bands", "mixed", "self_paced"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("allocation", ["uniform", "adaptive"])
@pytest.mark.parametrize(("count", "per_step"), [(18, 4), (5, 4), (4, 4), (7, 6), (16, 4), (11, 1)])
def test_no_prompt_is_twice_in_a_step(order: str, allocation: str, count: int, per_step: int) -> None:
    prompts = PROMPTS[:count]
    schedule = make_schedule(prompts, rates_of(prompts), spec(40, per_step, order=order, allocation=allocation), 0)
    for step in range(40):
        chosen = ids(schedule, step)
        assert len(chosen) == len(set(chosen)) == per_step


@pytest.mark.parametrize(("count", "per_step"), [(18, 4), (5, 4), (4, 4), (7, 6), (16, 4), (11, 1), (9, 6)])
def test_every_pass_takes_every_prompt_once(count: int, per_step: int) -> None:
    """Also where a step begins in one pass and ends in the next."""
    schedule = make_schedule(PROMPTS[:count], None, spec(60, per_step), seed=3)
    stream = [name for step in range(60) for name in ids(schedule, step)]
    for start in range(0, len(stream) - count + 1, count):
        assert len(set(stream[start : start + count])) == count
    assert max(Counter(stream).values()) - min(Counter(stream).values()) <= 1


def test_passes_and_seeds_are_shuffled_differently() -> None:
    schedule = make_schedule(PROMPTS, None, spec(40, 6), seed=0)
    passes = [[name for step in range(3 * p, 3 * p + 3) for name in ids(schedule, step)] for p in range(5)]
    assert len({tuple(names) for names in passes}) == 5
    other = make_schedule(PROMPTS, None, spec(40, 6), seed=1)
    assert [ids(other, step) for step in range(3)] != [ids(schedule, step) for step in range(3)]


@pytest.mark.parametrize("order", ORDERS)
def test_selection_is_a_function_of_seed_and_step_whatever_was_asked_before(order: str) -> None:
    """Nor does it depend on the order in which the prompts were read."""
    settings = spec(40, 5, order=order)
    forward = make_schedule(PROMPTS, rates_of(PROMPTS), settings, seed=2)
    steps = [ids(forward, step) for step in range(40)]
    fresh = [ids(make_schedule(PROMPTS[::-1], rates_of(PROMPTS), settings, seed=2), step) for step in range(40)]
    assert fresh == steps
    assert [ids(forward, step) for step in reversed(range(40))] == steps[::-1]


def test_easy_to_hard_widens_from_the_easiest_quarter_to_all_prompts() -> None:
    prompts = PROMPTS[:16]
    schedule = make_schedule(prompts, rates_of(prompts), spec(40, 4, order="easy_to_hard"), seed=0)
    seen = [{name for step in range(10 * s, 10 * s + 10) for name in ids(schedule, step)} for s in range(4)]
    easiest_first = [p.id for p in reversed(prompts)]
    assert seen == [set(easiest_first[: 4 * (s + 1)]) for s in range(4)]


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 7])
def test_easy_to_hard_has_a_stage_for_every_step_of_a_short_run(steps: int) -> None:
    schedule = make_schedule(PROMPTS, rates_of(PROMPTS), spec(steps, 4, order="easy_to_hard"), seed=0)
    assert all(len(ids(schedule, step)) == 4 for step in range(steps))


@pytest.mark.parametrize("order", ORDERS)
def test_adaptive_budgets_keep_the_steps_total_and_the_orders_prompts(order: str) -> None:
    rates = rates_of(PROMPTS)
    adaptive = make_schedule(PROMPTS, rates, spec(40, 6, order=order, allocation="adaptive"), seed=0)
    uniform = make_schedule(PROMPTS, rates, spec(40, 6, order=order), seed=0)
    sizes = set()
    for step in range(40):
        groups = adaptive.select(step)
        assert [group.prompt.id for group in groups] == ids(uniform, step)
        assert sum(group.samples for group in groups) == 6 * 6
        sizes |= {group.samples for group in groups}
    assert len(sizes) > 2


def test_adaptive_budgets_go_where_groups_are_likely_to_be_mixed() -> None:
    rates = rates_of(PROMPTS[:2]) | {PROMPTS[0].id: PassRate(PROMPTS[0].id, "toy", "all", 20, 10, 0, 0)}
    rates[PROMPTS[1].id] = PassRate(PROMPTS[1].id, "toy", "all", 20, 0, 0, 0)
    schedule = make_schedule(PROMPTS[:2], rates, spec(4, 2, allocation="adaptive"), seed=0)
    first = {group.prompt.id: group.samples for group in schedule.select(0)}
    assert first[PROMPTS[1].id] > first[PROMPTS[0].id]
    schedule.observe({PROMPTS[1].id: (60, 30), PROMPTS[0].id: (60, 60)})
    second = {group.prompt.id: group.samples for group in schedule.select(0)}
    assert second[PROMPTS[0].id] > second[PROMPTS[1].id]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("allocation", ["uniform", "adaptive"])
def test_a_restored_schedule_has_the_same_future(order: str, allocation: str) -> None:
    """Through JSON, as a checkpoint holds it."""
    settings = spec(20, 5, order=order, allocation=allocation)
    whole, resumed = (make_schedule(PROMPTS, rates_of(PROMPTS), settings, seed=4) for _ in range(2))
    for step in range(20):
        if step == 9:
            resumed.restore(json.loads(json.dumps(whole.state())))
        groups = whole.select(step)
        if step >= 9:
            assert list(resumed.select(step)) == list(groups)
        counts = {group.prompt.id: (group.samples, (step * group.samples) // 20) for group in groups}
        whole.observe(counts)
        if step >= 9:
            resumed.observe(counts)


def test_the_filter_keeps_prompts_within_the_bounds() -> None:
    rates = rates_of(PROMPTS)
    kept = filter_prompts(PROMPTS, rates, spec(min_pass_rate=0.25, max_pass_rate=0.5).prompts)
    assert [p.id for p in kept] == [p.id for p in PROMPTS if 0.25 <= rates[p.id].rate <= 0.5]
    assert 0 < len(kept) < len(PROMPTS)


def test_prompts_the_curriculum_lacks_are_an_error_that_lists_them() -> None:
    """1,960 of 4,691 ids were skipped in silence (F06)."""
    rates = rates_of(PROMPTS)
    del rates["toy/003"], rates["toy/011"]
    with pytest.raises(DataError, match=r"2 training prompts have no pass rate: \['toy/003', 'toy/011'\]"):
        make_schedule(PROMPTS, rates, spec(order="easy_to_hard"), seed=0)


def test_a_filter_that_leaves_too_few_prompts_says_how_many_are_left_and_what_to_do() -> None:
    """F17."""
    with pytest.raises(DataError, match=r"1 of 18 prompts .* a step needs 4\. Widen the filter"):
        make_schedule(PROMPTS, rates_of(PROMPTS, 18), spec(min_pass_rate=0.9), seed=0)


def band_of(name: str, count: int) -> int:
    """0: hardest quarter."""
    return int(name.rpartition("/")[2]) * 4 // count


def test_bands_go_from_quarter_to_quarter() -> None:
    prompts = PROMPTS[:16]
    schedule = make_schedule(prompts, rates_of(prompts), spec(40, 4, order="bands"), seed=0)
    seen = [
        {band_of(name, 16) for step in range(10 * s, 10 * s + 10) for name in ids(schedule, step)} for s in range(4)
    ]
    assert seen == [{3}, {2}, {1}, {0}]


def test_mixed_steps_hold_every_quarter_alike() -> None:
    prompts = PROMPTS[:16]
    schedule = make_schedule(prompts, rates_of(prompts), spec(40, 8, order="mixed"), seed=0)
    for step in range(40):
        assert Counter(band_of(name, 16) for name in ids(schedule, step)) == {0: 2, 1: 2, 2: 2, 3: 2}


def test_self_paced_steps_follow_what_the_policy_solves_now() -> None:
    schedule = make_schedule(PROMPTS, rates_of(PROMPTS), spec(200, 4, order="self_paced"), seed=0)

    def often(name: str, steps: range) -> int:
        return sum(name in ids(schedule, step) for step in steps)

    mastered, half = PROMPTS[9].id, PROMPTS[0].id
    before = often(mastered, range(100)) - often(half, range(100))
    for _ in range(8):
        schedule.observe({mastered: (20, 20), half: (20, 10)})
    after = often(mastered, range(100, 200)) - often(half, range(100, 200))
    assert before > 10
    assert after < -10


@pytest.mark.parametrize("order", ORDERS)
def test_replacements_are_other_prompts_and_the_same_after_a_resume(order: str) -> None:
    first, second = (make_schedule(PROMPTS, rates_of(PROMPTS), spec(40, 4, order=order), seed=0) for _ in range(2))
    chosen = set(ids(first, 30))
    names, again = ([group.prompt.id for group in s.replacements(30, chosen)] for s in (first, second))
    assert names == again
    assert len(set(names)) == len(names) > 0
    assert not chosen & set(names)


def tasked(count: int, task: str) -> list[PromptRow]:
    return [PromptRow(f"{task}/{i:03d}", task, "train", "q", "1", "all", "q", [i]) for i in range(count)]


@pytest.mark.parametrize("order", ["shuffled", "self_paced"])
def test_tasks_get_their_share_of_the_run(order: str) -> None:
    prompts = tasked(30, "a") + tasked(90, "b")
    settings = spec(50, 5, order=order, task_weights={"a": 3, "b": 1})
    rates = {p.id: PassRate(p.id, p.task, "all", 20, 10, 0, 0) for p in prompts}
    schedule = make_schedule(prompts, rates, settings, seed=0)
    counts = Counter(name[0] for step in range(50) for name in ids(schedule, step))
    assert counts["b"] == pytest.approx(250 / 4, abs=1)
    assert all(len(set(ids(schedule, step))) == 5 for step in range(50))


def test_weights_must_name_the_tasks_that_there_are() -> None:
    with pytest.raises(SpecError, match=r"task_weights.*names \['a', 'c'\], the tasks with prompts are \['a', 'b'\]"):
        make_schedule(tasked(9, "a") + tasked(9, "b"), None, spec(task_weights={"a": 1, "c": 1}), seed=0)


@pytest.mark.parametrize("order", ["shuffled", "self_paced", "mixed"])
def test_every_task_has_spares_for_all_it_has_in_a_step(order: str) -> None:
    """A spare steps in for a group of its own task; dealt out in equal turns, 9:1 weights got as many of either."""
    prompts = tasked(40, "a") + tasked(40, "b")
    rates = {p.id: PassRate(p.id, p.task, "all", 20, i % 20, 0, 0) for i, p in enumerate(prompts)}
    schedule = make_schedule(prompts, rates, spec(20, 10, order=order, task_weights={"a": 9, "b": 1}), seed=0)
    for step in range(20):
        chosen = {group.prompt.id for group in schedule.select(step)}
        spares = Counter(group.prompt.task for group in schedule.replacements(step, chosen))
        assert Counter(name[0] for name in chosen) == {"a": 9, "b": 1}
        assert spares == {"a": 31, "b": 39}
