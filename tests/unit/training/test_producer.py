"""Which weights write a step, who is told when it fails, and what comes back from a checkpoint."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import pytest
import torch

from assay.contracts.schedule import Allocation
from assay.training.producer import Producer
from assay.training.rollout import Rollout


class Trained:
    """A policy whose weight is the number of steps that trained it, and a sampler that says which weight it has."""

    def __init__(self, make_rollout: Callable[..., Rollout]) -> None:
        self.make_rollout = make_rollout
        self.weight = torch.zeros(1)
        self.sampling = -1.0
        self.written: list[tuple[str, int, float]] = []
        self.gate = threading.Event()
        self.gate.set()

    tasks: dict[str, Any] = {}

    def weights(self) -> Iterable[tuple[str, torch.Tensor]]:
        return [("weight", self.weight)]

    def update_weights(self, weights: Iterable[tuple[str, torch.Tensor]], _: Any) -> None:
        ((_, value),) = weights
        self.sampling = float(value)

    def rest(self) -> None: ...

    def collect(self, purpose: str, step: int, _: Sequence[Allocation]) -> list[Rollout]:
        self.gate.wait(10)
        self.written.append((purpose, step, self.sampling))
        return [self.make_rollout(f"p{step}", [1], [2, 3], logprobs=[-0.1, -1 / 3])]


class Order:
    """One prompt a step."""

    def __init__(self, make_rollout: Callable[..., Rollout]) -> None:
        self.make_rollout = make_rollout

    def select(self, step: int) -> list[Allocation]:
        return [Allocation(self.make_rollout(f"p{step}", [1], [2]).prompt, 1)]


def producer(world: Trained, lag: int, steps: int = 6) -> Producer:
    order: Any = Order(world.make_rollout)
    return Producer(world, world, order, world.weights, lambda *_: [], steps, lag, patience_s=10)  # type: ignore[arg-type]


def train(world: Trained, made: Producer, first: int, last: int) -> None:
    for step in range(first, last):
        made.take(step)
        world.weight += 1
        made.look_ahead(step + 1)


@pytest.mark.parametrize("lag", [0, 1, 2, 4])
def test_step_t_is_written_with_the_weights_of_t_less_the_lag(make_rollout: Any, lag: int) -> None:
    world = Trained(make_rollout)
    made = producer(world, lag)
    made.restore(0, [])
    train(world, made, 0, 6)
    assert world.written == [("rollout", step, float(max(0, step - lag))) for step in range(6)]


def test_a_run_that_went_back_is_not_written_with_weights_of_the_time_before(make_rollout: Any) -> None:
    """Both are weights of three steps; only one of the two has been thrown away."""
    world = Trained(make_rollout)
    made = producer(world, 1)
    made.restore(0, [])
    train(world, made, 0, 3)
    made.take(3)
    world.weight += 100  # as the older checkpoint was
    made.restore(3, [])
    made.take(3)
    assert world.written[-1][0] == "rollout"
    assert [weight for _, step, weight in world.written if step == 3 and weight > 50] == [103.0]


def test_validation_is_written_with_the_weights_of_now_and_the_next_step_with_its_own(make_rollout: Any) -> None:
    world = Trained(make_rollout)
    made = producer(world, 2)
    made.restore(0, [])
    train(world, made, 0, 3)
    made.collect_now("validation", 0, [], 3)
    train(world, made, 3, 6)
    assert ("validation", 0, 3.0) in world.written
    assert [weight for purpose, _, weight in world.written if purpose == "rollout"] == [0.0, 0.0, 0.0, 1.0, 2.0, 3.0]


def test_rollouts_come_back_from_json_as_they_were(make_rollout: Any) -> None:
    world = Trained(make_rollout)
    made = producer(world, 2)
    made.restore(0, [])
    first = made.take(0)
    state = json.loads(json.dumps(made.state(1)))
    assert len(state) == 2
    again = producer(world, 2)
    again.restore(1, state)
    assert again.take(1) == made.take(1)
    assert again.take(2).staleness_steps == 2
    assert first.rollouts[0].completion.logprobs == (-0.1, -1 / 3)


def test_an_error_in_a_later_step_is_raised_at_the_next_look(make_rollout: Any) -> None:
    world = Trained(make_rollout)
    made = producer(world, 3)
    collect = world.collect

    def failing(purpose: str, step: int, groups: Any) -> Any:
        if step == 3:
            raise ConnectionError("gone")
        return collect(purpose, step, groups)

    world.collect = failing  # type: ignore[method-assign]
    made.restore(0, [])
    made.waiting[3].exception(10)
    with pytest.raises(ConnectionError, match="gone"):
        made.take(0)


@pytest.mark.parametrize("lag", [0, 1, 2])
def test_a_step_is_kept_until_it_is_learnt(make_rollout: Any, lag: int) -> None:
    """Else a run that is ended while it scores a step saves the next one's rollouts in its place (F01)."""
    world = Trained(make_rollout)
    made = producer(world, lag)
    made.restore(0, [])
    train(world, made, 0, 2)
    taken = made.take(2)
    again = producer(world, lag)
    again.restore(2, made.state(2))
    assert [rollouts[0]["prompt"]["id"] for rollouts in made.state(2)] == [
        f"toy/p{2 + ahead}" for ahead in range(lag + 1)
    ]
    assert again.take(2) == taken == made.take(2)
    assert len(made.state(3)) == lag
