"""For every objective and any batch: padding, order and micro-batches change nothing."""

from __future__ import annotations

from typing import Any, get_args

import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.contracts.objective import KLSpec, LossSpec, MismatchSpec, Objective
from assay.training.advantages import gae, reward_advantages
from assay.training.losses import Averaging, importance_weights, kl_loss, policy_loss

BUDGET = 16
Batch = dict[str, torch.Tensor]
ESTIMATORS = get_args(KLSpec.model_fields["estimator"].annotation)
SPECS = st.builds(LossSpec, objective=st.sampled_from(get_args(Objective)))
KLS = st.builds(KLSpec, estimator=st.sampled_from(ESTIMATORS), coefficient=st.just(0.3))
MISMATCHES = st.builds(
    MismatchSpec,
    weight=st.sampled_from(["token", "sequence", "none"]),
    mask=st.sampled_from(["token", "sequence", "geometric", "none"]),
    mask_below=st.just(0.8),
    mask_above=st.just(1.3),
)


@st.composite
def batches(draw: st.DrawFn) -> Batch:
    lengths = torch.tensor(draw(st.lists(st.integers(1, 9), min_size=1, max_size=6)))
    width = int(lengths.max()) + draw(st.integers(0, 3))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))

    def normal() -> torch.Tensor:
        return torch.randn(len(lengths), width, generator=generator, dtype=torch.float64)

    old_BT = -normal().abs()
    near = {name: old_BT + 0.5 * normal() for name in ("new", "sampler", "ref")}
    mask_BT = (torch.arange(width)[None] < lengths[:, None]).double()
    return near | {"old": old_BT, "advantages": normal(), "mask": mask_BT}


def total(batch: Batch, loss: LossSpec, kl: KLSpec, mismatch: MismatchSpec, whole: Batch | None = None) -> Any:
    """Loss and gradient of a batch, or of a part of a whole."""
    whole = batch if whole is None else whole
    new_BT = batch["new"].clone().requires_grad_()
    mask_BT = batch["mask"]
    weights_BT = importance_weights(batch["old"], batch["sampler"], mask_BT, mismatch).weights_BT
    found = policy_loss(loss.objective, loss.recipe, new_BT, batch["old"], batch["advantages"], mask_BT)
    average = Averaging(loss.recipe.normaliser, len(whole["mask"]), int(whole["mask"].sum()), BUDGET)
    value = average(weights_BT * found.losses_BT + kl_loss(new_BT, batch["ref"], batch["old"], kl), mask_BT)
    return value.detach(), torch.autograd.grad(value, new_BT)[0]


@given(batches(), SPECS, KLS, MISMATCHES, st.integers(1, 5))
def test_padding_changes_nothing_whatever_it_holds(
    batch: Batch, loss: LossSpec, kl: KLSpec, mismatch: MismatchSpec, extra: int
) -> None:
    expected, gradient = total(batch, loss, kl, mismatch)
    real_BT = batch["mask"].bool()
    padded = {
        name: torch.nn.functional.pad(t.masked_fill(~real_BT, 3.0), (0, extra), value=3.0) for name, t in batch.items()
    }
    padded["mask"] = torch.nn.functional.pad(batch["mask"], (0, extra))
    found, padded_gradient = total(padded, loss, kl, mismatch)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(padded_gradient[:, : real_BT.shape[1]], gradient)
    assert padded_gradient[~padded["mask"].bool()].eq(0).all()


@given(batches(), SPECS, KLS, MISMATCHES, st.randoms())
def test_the_order_of_completions_changes_nothing(
    batch: Batch, loss: LossSpec, kl: KLSpec, mismatch: MismatchSpec, random: Any
) -> None:
    order = list(range(len(batch["mask"])))
    random.shuffle(order)
    expected, gradient = total(batch, loss, kl, mismatch)
    found, shuffled = total({name: tensor[order] for name, tensor in batch.items()}, loss, kl, mismatch)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(shuffled, gradient[order])


@given(batches(), SPECS.filter(lambda spec: spec.objective != "bnpo"), KLS, MISMATCHES, st.data())
def test_micro_batches_add_up_to_the_whole(
    batch: Batch, loss: LossSpec, kl: KLSpec, mismatch: MismatchSpec, data: st.DataObject
) -> None:
    """Of bnpo this is not true, by definition (F16)."""
    cut = data.draw(st.integers(0, len(batch["mask"])))
    expected, gradient = total(batch, loss, kl, mismatch)
    parts = [{name: tensor[part] for name, tensor in batch.items()} for part in (slice(cut), slice(cut, None))]
    found = [total(part, loss, kl, mismatch, whole=batch) for part in parts]
    torch.testing.assert_close(found[0][0] + found[1][0], expected)
    torch.testing.assert_close(torch.cat([found[0][1], found[1][1]]), gradient)


@given(batches(), MISMATCHES)
def test_a_sampler_that_is_the_trainer_needs_no_correction(batch: Batch, mismatch: MismatchSpec) -> None:
    found = importance_weights(batch["old"], batch["old"], batch["mask"], mismatch)
    assert found.weights_BT.eq(1).all()
    assert not found.cut_BT.any()


REWARDS = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, float("nan")]), min_size=2, max_size=8)


@given(
    st.lists(REWARDS, min_size=1, max_size=5),
    st.sampled_from(["group_std", "group_mean", "leave_one_out"]),
    st.randoms(),
)
def test_a_groups_advantages_depend_on_nothing_but_the_group(groups: list[list[float]], kind: Any, random: Any) -> None:
    def of(arranged: list[list[float]]) -> list[list[float]]:
        flat = torch.tensor([reward for group in arranged for reward in group], dtype=torch.float64)
        sizes = [len(group) for group in arranged]
        return [piece.tolist() for piece in reward_advantages(flat, sizes, kind).split(sizes)]

    order = list(range(len(groups)))
    random.shuffle(order)
    expected = of(groups)
    assert of([groups[place] for place in order]) == [expected[place] for place in order]


@given(batches(), st.floats(0.5, 1), st.floats(0, 1))
def test_gae_reads_no_padding(batch: Batch, gamma: float, lam: float) -> None:
    mask_BT = batch["mask"]
    rewards_BT = batch["advantages"] * mask_BT
    expected = gae(rewards_BT, batch["new"] * mask_BT, mask_BT, gamma, lam)
    found = gae(rewards_BT, batch["new"].masked_fill(mask_BT == 0, 7.0), mask_BT, gamma, lam)
    assert torch.equal(found, expected)
