"""Losses against closed forms by exact enumeration, literal loops, and analytic gradients."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any, get_args

import pytest
import torch

from assay.contracts.objective import KLSpec, LossSpec, MismatchSpec, Normaliser, Objective, Recipe
from assay.training.losses import (
    Averaging,
    clipped,
    clipped_value_loss,
    importance_weights,
    k1,
    k2,
    k3,
    kl_loss,
    log_ratio,
    policy_loss,
)

Estimator = Callable[[torch.Tensor], torch.Tensor]
POLICY_LOGITS = torch.tensor([0.3, -1.2, 0.8, 2.0, -0.5], dtype=torch.float64)
REFERENCE_LOGITS = torch.tensor([1.1, 0.4, -0.7, 0.2, 0.9], dtype=torch.float64)


def log_p(logits_V: torch.Tensor) -> torch.Tensor:
    return torch.log_softmax(logits_V, dim=-1)


def kl(log_a_V: torch.Tensor, log_b_V: torch.Tensor) -> torch.Tensor:
    """KL(a ‖ b) by summing over the vocabulary."""
    return (log_a_V.exp() * (log_a_V - log_b_V)).sum()


def expectation(estimator: Estimator) -> float:
    """The estimator's mean under samples of the policy, by enumeration."""
    policy_V, ref_V = log_p(POLICY_LOGITS), log_p(REFERENCE_LOGITS)
    return float((policy_V.exp() * estimator(log_ratio(policy_V, ref_V))).sum())


def loss_gradient(estimator: Estimator) -> torch.Tensor:
    """The expected gradient of the estimator as a loss: samples are fixed, only the log-probs carry gradient."""
    logits_V = POLICY_LOGITS.clone().requires_grad_()
    policy_V = log_p(logits_V)
    (policy_V.detach().exp() * estimator(log_ratio(policy_V, log_p(REFERENCE_LOGITS)))).sum().backward()
    assert logits_V.grad is not None
    return logits_V.grad


def kl_gradient(*, forward: bool) -> torch.Tensor:
    logits_V = POLICY_LOGITS.clone().requires_grad_()
    policy_V, ref_V = log_p(logits_V), log_p(REFERENCE_LOGITS)
    (kl(ref_V, policy_V) if forward else kl(policy_V, ref_V)).backward()
    assert logits_V.grad is not None
    return logits_V.grad


@pytest.mark.parametrize("estimator", [k1, k3])
def test_k1_and_k3_are_unbiased(estimator: Estimator) -> None:
    truth = float(kl(log_p(POLICY_LOGITS), log_p(REFERENCE_LOGITS)))
    assert expectation(estimator) == pytest.approx(truth, abs=1e-12)


def test_k2_is_half_the_second_moment_of_the_log_ratio() -> None:
    """E[r²]/2 = KL²/2 + Var(r)/2: not the KL, and how far from it is known."""
    policy_V, ref_V = log_p(POLICY_LOGITS), log_p(REFERENCE_LOGITS)
    truth = float(kl(policy_V, ref_V))
    r_V = ref_V - policy_V
    variance = float((policy_V.exp() * (r_V + truth).square()).sum())
    assert expectation(k2) == pytest.approx((truth**2 + variance) / 2, abs=1e-12)
    assert abs(expectation(k2) - truth) > 0.01


def test_k3_as_a_loss_has_the_gradient_of_the_forward_kl() -> None:
    """E_π[∇k3] = ∇KL(π_ref ‖ π_θ) (2510.01555)."""
    torch.testing.assert_close(loss_gradient(k3), kl_gradient(forward=True))


def test_k2_as_a_loss_has_the_gradient_of_the_reverse_kl() -> None:
    """E_π[∇k2] = ∇KL(π_θ ‖ π_ref)."""
    torch.testing.assert_close(loss_gradient(k2), kl_gradient(forward=False))


def test_k1_as_a_loss_would_have_no_gradient_at_all() -> None:
    """E_π[∇ log π] = 0: why k1 is offered in the reward alone."""
    torch.testing.assert_close(loss_gradient(k1), torch.zeros(5, dtype=torch.float64), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("shift", "expected"),
    [(0.1, (0.004, 1.0, 1.0)), (0.5, (0.115, 0.95, 0.97)), (1, (0.41, 0.91, 0.92)), (2, (1.30, 0.91, 0.85)),
     (4, (2.59, 1.48, 0.80))],
)  # fmt: skip
def test_how_far_the_two_gradients_part_is_as_decided_on(shift: float, expected: tuple[float, ...]) -> None:
    """docs/decisions/0010-kl-default.md: KL, and length and direction of k3's gradient beside the true one."""
    generator = torch.Generator().manual_seed(0)

    def draw() -> tuple[float, ...]:
        base_V, noise_V = (torch.randn(50, generator=generator, dtype=torch.float64) for _ in range(2))
        logits_V = (base_V + shift * noise_V).requires_grad_()
        policy_V, ref_V = log_p(logits_V), log_p(base_V)
        true_V, of_k3_V = (torch.autograd.grad(kl(*way), logits_V, retain_graph=True)[0]
                           for way in ((policy_V, ref_V), (ref_V, policy_V)))  # fmt: skip
        cosine = torch.nn.functional.cosine_similarity(true_V, of_k3_V, dim=0)
        return tuple(map(float, (kl(policy_V, ref_V).detach(), of_k3_V.norm() / true_V.norm(), cosine)))

    medians = [statistics.median(column) for column in zip(*(draw() for _ in range(300)), strict=True)]
    assert medians == pytest.approx(list(expected), rel=0.1, abs=0.02)


@pytest.mark.parametrize("estimator", [k2, k3])
def test_descending_the_kl_loss_pulls_the_policy_to_the_reference(estimator: Estimator) -> None:
    """A reversed sign pushes it away and went unseen for six days (F26)."""
    logits_V = POLICY_LOGITS.clone()
    before = float(kl(log_p(logits_V), log_p(REFERENCE_LOGITS)))
    after = float(kl(log_p(logits_V - 0.05 * loss_gradient(estimator)), log_p(REFERENCE_LOGITS)))
    assert after < before


@pytest.mark.parametrize("policy", [-1.0, -3.0])
def test_the_gradient_of_one_tokens_k3_has_the_sign_of_one_minus_the_reference_ratio(policy: float) -> None:
    """d k3 / d log π = 1 − π_ref/π: a token the policy overrates is pushed down, never up (F26)."""
    logprob = torch.tensor(policy, dtype=torch.float64, requires_grad=True)
    k3(log_ratio(logprob, torch.tensor(-2.0, dtype=torch.float64))).backward()
    assert logprob.grad is not None
    assert float(logprob.grad) == pytest.approx(1 - math.exp(-2.0 - policy), abs=1e-12)
    assert (float(logprob.grad) > 0) == (policy > -2.0)


def test_k3_is_never_negative_and_exact_near_zero() -> None:
    r = torch.linspace(-3, 3, 601, dtype=torch.float64)
    assert (k3(r) >= 0).all()
    tiny = torch.tensor(1e-6, dtype=torch.float64)
    assert float(k3(tiny)) == pytest.approx(5e-13, rel=1e-3)


def reward_gradient(kl_of: Estimator) -> torch.Tensor:
    """The policy gradient of a penalty in the reward: E_π[penalty · ∇ log π], the penalty being a number."""
    logits_V = POLICY_LOGITS.clone().requires_grad_()
    policy_V = log_p(logits_V)
    penalty_V = kl_of(log_ratio(policy_V, log_p(REFERENCE_LOGITS))).detach()
    (policy_V.detach().exp() * penalty_V * policy_V).sum().backward()
    assert logits_V.grad is not None
    return logits_V.grad


def test_k1_in_the_reward_has_the_gradient_of_the_reverse_kl() -> None:
    """E_π[(log π − log π_ref) ∇ log π] = ∇KL(π_θ ‖ π_ref)."""
    torch.testing.assert_close(reward_gradient(k1), kl_gradient(forward=False))


@pytest.mark.parametrize("drift", [0.0, 0.7])
def test_the_weighted_k3_has_value_and_gradient_of_the_reverse_kl_off_policy_too(drift: float) -> None:
    """Samples are of an older policy; ρ·k3 makes up for it, k3 and k2 do not (2512.02556)."""
    noise = torch.tensor([1.0, -0.5, 0.2, -1.0, 0.6], dtype=torch.float64)
    old_V, ref_V = log_p(POLICY_LOGITS + drift * noise), log_p(REFERENCE_LOGITS)
    found = {}
    for name in ("k3_weighted_loss", "k3_loss", "k2_loss"):
        logits_V = POLICY_LOGITS.clone().requires_grad_()
        value = (old_V.exp() * kl_loss(log_p(logits_V), ref_V, old_V, kl_spec(name))).sum()
        found[name] = value.detach(), torch.autograd.grad(value, logits_V)[0]
    truth = kl(log_p(POLICY_LOGITS), ref_V), kl_gradient(forward=False)
    torch.testing.assert_close(found["k3_weighted_loss"], truth)
    assert not torch.allclose(found["k3_loss"][1], truth[1], rtol=0.1)
    assert torch.allclose(found["k2_loss"][1], truth[1]) == (drift == 0)


def kl_spec(estimator: str, coefficient: float = 1.0, **changes: Any) -> KLSpec:
    return KLSpec.model_validate({"estimator": estimator, "coefficient": coefficient} | changes)


@pytest.mark.parametrize(("name", "estimator"), [("k1_loss", k1), ("k2_loss", k2), ("k3_loss", k3)])
def test_kl_loss_is_the_coefficient_times_the_named_estimator(name: str, estimator: Estimator) -> None:
    policy_BT, ref_BT, old_BT = torch.randn(2, 3), torch.randn(2, 3), torch.randn(2, 3)
    expected = 0.3 * estimator(ref_BT - policy_BT)
    torch.testing.assert_close(kl_loss(policy_BT, ref_BT, old_BT, kl_spec(name, 0.3)), expected)


def test_a_clamp_bounds_the_estimate_and_lets_go_of_the_token() -> None:
    policy_BT = torch.tensor([[-1.0, -40.0]], dtype=torch.float64, requires_grad=True)
    ref_BT = torch.tensor([[-2.0, -1.0]], dtype=torch.float64)
    loss_BT = kl_loss(policy_BT, ref_BT, policy_BT.detach(), kl_spec("k3_loss", clamp=10.0))
    expected = [[math.exp(-1) + 1 - 1, math.exp(10) - 10 - 1]]
    torch.testing.assert_close(loss_BT.detach(), torch.tensor(expected, dtype=torch.float64))
    gradient_BT = torch.autograd.grad(loss_BT.sum(), policy_BT)[0]
    assert gradient_BT[0, 1] == 0
    assert gradient_BT[0, 0] != 0


@pytest.mark.parametrize("spec", [kl_spec("k1_reward"), kl_spec("k3_loss", 0.0)])
def test_a_kl_that_is_in_the_reward_or_off_adds_nothing_to_the_loss(spec: KLSpec) -> None:
    assert kl_loss(torch.randn(2, 3), torch.randn(2, 3), torch.randn(2, 3), spec).eq(0).all()
    assert not spec.in_loss


LENGTHS = torch.tensor([11, 1, 4, 7, 2, 9, 5])
Batch = dict[str, torch.Tensor]
OBJECTIVES = get_args(Objective)


def random_batch(seed: int = 0) -> Batch:
    """Seven completions; padding holds numbers, so that what reads it is found out."""
    generator = torch.Generator().manual_seed(seed)

    def normal(scale: float) -> torch.Tensor:
        return scale * torch.randn(7, 11, generator=generator, dtype=torch.float64)

    old_BT = -torch.rand(7, 11, generator=generator, dtype=torch.float64) * 3
    return {
        "old": old_BT,
        "new": old_BT + normal(0.4),
        "sampler": old_BT + normal(0.5),
        "ref": old_BT + normal(0.6),
        "advantages": normal(1.0)[:, :1].expand(7, 11),
        "mask": (torch.arange(11)[None, :] < LENGTHS[:, None]).double(),
    }


def literal_ratio(batch: Batch, level: str, i: int, t: int) -> float:
    logs = [float(batch["new"][i, s] - batch["old"][i, s]) for s in range(int(LENGTHS[i]))]
    return math.exp({"token": logs[t], "sequence": sum(logs), "geometric": sum(logs) / len(logs)}[level])


def literal_policy_loss(batch: Batch, spec: LossSpec, i: int, t: int) -> float:
    """The table of the module's docstring, one token at a time."""
    recipe, advantage = spec.recipe, float(batch["advantages"][i, t])
    ratio = literal_ratio(batch, recipe.ratio, i, t)
    bounded = min(max(ratio, 1 - recipe.clip_low), 1 + recipe.clip_high)
    if spec.objective == "cispo":
        return -bounded * advantage * float(batch["new"][i, t])
    gain = min(ratio * advantage, bounded * advantage)
    if recipe.dual_clip is not None and advantage < 0:
        gain = max(gain, recipe.dual_clip * advantage)
    return -gain


def token_losses(batch: Batch, spec: LossSpec) -> torch.Tensor:
    names = ("new", "old", "advantages", "mask")
    return policy_loss(spec.objective, spec.recipe, *(batch[name] for name in names)).losses_BT


@pytest.mark.parametrize("spec", [*(LossSpec(objective=name) for name in OBJECTIVES), LossSpec(dual_clip=3.0)])
@pytest.mark.parametrize("advantage", [1.0, 0.0, -1.0])
def test_a_ratio_without_bounds_makes_no_gradient_that_is_not_a_number(spec: LossSpec, advantage: float) -> None:
    """In fp32 e^100 is infinite, and its product with a gradient of 0 would be NaN (F24)."""
    new_BT = torch.zeros(1, 3, requires_grad=True)
    old_BT = torch.full((1, 3), -100.0)
    ones_BT = torch.ones(1, 3)
    found = policy_loss(spec.objective, spec.recipe, new_BT, old_BT, advantage * ones_BT, ones_BT)
    kl_BT = kl_loss(new_BT, old_BT, old_BT, kl_spec("k3_weighted_loss"))
    gradient_BT = torch.autograd.grad((found.losses_BT + kl_BT).sum(), new_BT)[0]
    torch.testing.assert_close(found.ratio_BT, torch.full((1, 3), math.exp(20)))
    assert found.losses_BT.isfinite().all()
    assert gradient_BT.isfinite().all()
    if spec.dual_clip and advantage < 0:
        assert found.losses_BT.tolist() == [[3.0] * 3]


@pytest.mark.parametrize(
    "spec",
    [*(LossSpec(objective=name) for name in OBJECTIVES), LossSpec(dual_clip=1.3), LossSpec(clip_low=1.0, clip_high=3)],
)
def test_a_policy_loss_is_its_formula_token_by_token(spec: LossSpec) -> None:
    batch = random_batch()
    found = token_losses(batch, spec)
    for i, length in enumerate(LENGTHS.tolist()):
        expected = [literal_policy_loss(batch, spec, i, t) for t in range(length)]
        assert found[i, :length].tolist() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_at_ratio_one_every_objective_follows_the_policy_gradient(objective: Any) -> None:
    """∇l = −A ∇log π of each token; of the whole completion where it is one action, shared out by the mean."""
    new_BT = random_batch()["new"].clone().requires_grad_()
    batch = random_batch() | {"new": new_BT, "old": new_BT.detach()}
    mask_BT, spec = batch["mask"], LossSpec(objective=objective)
    totals_B = (token_losses(batch, spec) * mask_BT).sum(-1) / (LENGTHS if spec.recipe.ratio != "token" else 1)
    (gradient_BT,) = torch.autograd.grad(totals_B.sum(), new_BT)
    shared = LENGTHS[:, None] if spec.recipe.ratio == "geometric" else 1
    torch.testing.assert_close(gradient_BT, -batch["advantages"] * mask_BT / shared)


@pytest.mark.parametrize(
    ("ratio", "advantage", "moves"), [(1.5, 1.0, False), (1.5, -1.0, True), (0.5, 1.0, True), (0.5, -1.0, False)]
)
def test_the_clip_stops_the_gradient_only_of_tokens_that_already_moved_far_enough(
    ratio: float, advantage: float, moves: bool
) -> None:
    ratio_BT = torch.full((1, 1), ratio, requires_grad=True)
    loss = clipped(ratio_BT, torch.full((1, 1), advantage), LossSpec().recipe)
    assert bool(torch.autograd.grad(loss.sum(), ratio_BT)[0].abs() > 0) == moves


def test_a_clipped_token_still_has_a_gradient_in_cispo() -> None:
    new_BT = torch.full((1, 1), math.log(9.0), requires_grad=True)
    one_BT = torch.ones(1, 1)
    loss = policy_loss("cispo", LossSpec(objective="cispo").recipe, new_BT, torch.zeros(1, 1), one_BT, one_BT)
    assert float(torch.autograd.grad(loss.losses_BT.sum(), new_BT)[0]) == pytest.approx(-5.0)


def test_the_value_loss_is_the_worse_of_the_new_value_and_the_clipped_one() -> None:
    """Moving on past the clip is not rewarded; coming back from beyond it is."""
    old_BT, returns_BT = torch.zeros(1, 4), torch.tensor([[1.0, 1.0, 1.0, -1.0]])
    values_BT = torch.tensor([[0.1, 0.5, 1.5, 0.5]], requires_grad=True)
    loss_BT = clipped_value_loss(values_BT, old_BT, returns_BT, 0.2)
    expected = [
        max((v - r) ** 2, (min(max(v, -0.2), 0.2) - r) ** 2) / 2
        for v, r in zip([0.1, 0.5, 1.5, 0.5], [1, 1, 1, -1], strict=True)
    ]
    assert loss_BT[0].tolist() == pytest.approx(expected)
    (gradient_BT,) = torch.autograd.grad(loss_BT.sum(), values_BT)
    assert gradient_BT[0].tolist() == pytest.approx([-0.9, 0.0, 0.0, 1.5])


def weights(batch: Batch, **spec: Any) -> torch.Tensor:
    return importance_weights(
        batch["old"], batch["sampler"], batch["mask"], MismatchSpec.model_validate(spec)
    ).weights_BT


def literal_weight(batch: Batch, spec: MismatchSpec, i: int, t: int) -> float:
    logs = [float(batch["old"][i, s] - batch["sampler"][i, s]) for s in range(int(LENGTHS[i]))]
    ratio = {"token": logs[t], "sequence": sum(logs), "geometric": sum(logs) / len(logs)}
    if spec.mask != "none" and not spec.mask_below <= math.exp(ratio[spec.mask]) <= spec.mask_above:
        return 0.0
    return 1.0 if spec.weight == "none" else min(math.exp(ratio[spec.weight]), spec.cap)


@pytest.mark.parametrize("weight", ["token", "sequence", "none"])
@pytest.mark.parametrize("mask", ["token", "sequence", "geometric", "none"])
def test_importance_weights_are_their_formula_token_by_token(weight: Any, mask: Any) -> None:
    spec = MismatchSpec(weight=weight, cap=1.3, mask=mask, mask_below=0.8, mask_above=1.4)
    batch = random_batch()
    found = importance_weights(batch["old"].clone().requires_grad_(), batch["sampler"], batch["mask"], spec)
    assert not any(tensor.requires_grad for tensor in found)
    for i, length in enumerate(LENGTHS.tolist()):
        expected = [literal_weight(batch, spec, i, t) for t in range(length)]
        assert found.weights_BT[i, :length].tolist() == pytest.approx(expected, rel=1e-12)
        if weight != "none":
            cut = found.weights_BT[i, :length] != found.ratio_BT[i, :length]
            assert found.cut_BT[i, :length].tolist() == cut.tolist()
    dropped = found.weights_BT == 0
    assert (dropped & batch["mask"].bool()).any() == (mask != "none")


def test_weights_are_one_where_trainer_and_sampler_agree() -> None:
    batch = random_batch() | {"sampler": random_batch()["old"]}
    for mask in ("token", "sequence", "geometric", "none"):
        assert weights(batch, mask=mask, mask_below=0.9, mask_above=1.1).eq(1).all()


def test_truncated_weights_are_exact_below_the_cap() -> None:
    """With every ratio below the cap, E_sampler[w·f] = E_trainer[f]."""
    trainer_1V, sampler_1V = log_p(POLICY_LOGITS)[None], log_p(POLICY_LOGITS * 0.8)[None]
    f_V = torch.arange(5, dtype=torch.float64)
    found = importance_weights(trainer_1V, sampler_1V, torch.ones(1, 5), MismatchSpec(cap=10.0))
    torch.testing.assert_close((sampler_1V.exp() * found.weights_BT * f_V).sum(), (trainer_1V.exp() * f_V).sum())


def test_a_product_of_ratios_that_overflows_is_a_number_still() -> None:
    """A thousand tokens half a nat apart; infinity would spoil the step's figures and, in a loss, its gradient."""
    old_BT, sampler_BT, mask_BT = torch.zeros(1, 1000), torch.full((1, 1000), -0.5), torch.ones(1, 1000)
    found = importance_weights(old_BT, sampler_BT, mask_BT, MismatchSpec(weight="sequence"))
    assert found.ratio_BT.isfinite().all()
    assert found.weights_BT.eq(2.0).all()


BUDGET = 16
NORMALISERS = get_args(Normaliser)


def averaging(kind: Normaliser, micro_batches: int = 1) -> Averaging:
    return Averaging(kind, len(LENGTHS), int(LENGTHS.sum()), BUDGET, micro_batches)


def literal_total(kind: str, losses_BT: torch.Tensor) -> float:
    """Each normaliser as loops."""
    lengths = LENGTHS.tolist()
    sums = [sum(float(losses_BT[i, t]) for t in range(length)) for i, length in enumerate(lengths)]
    if kind == "response":
        return sum(s / length for s, length in zip(sums, lengths, strict=True)) / len(sums)
    return sum(sums) / (len(sums) * BUDGET if kind == "constant" else sum(lengths))


@pytest.mark.parametrize("kind", NORMALISERS)
def test_a_normaliser_averages_as_the_loop_does(kind: Any) -> None:
    batch = random_batch()
    losses_BT = token_losses(batch, LossSpec())
    total = averaging(kind)(losses_BT, batch["mask"])
    assert float(total) == pytest.approx(literal_total(kind, losses_BT), rel=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in NORMALISERS if kind != "micro_batch"])
@pytest.mark.parametrize("cut", [[7], [1, 6], [3, 2, 2], [1] * 7])
def test_any_partition_into_micro_batches_gives_the_gradient_of_the_whole(kind: Any, cut: list[int]) -> None:
    """Accumulating per-micro-batch means weighs short micro-batches too heavily (F16)."""
    torch.testing.assert_close(gradient_of(kind, cut), gradient_of(kind, [7]), rtol=1e-12, atol=0)


def test_bnpo_alone_depends_on_the_partition() -> None:
    """As its definition says: TRL's loss of that name is the mean of the micro-batches' means."""
    assert not torch.allclose(gradient_of("micro_batch", [1, 6]), gradient_of("micro_batch", [7]))


def gradient_of(kind: Any, cut: list[int]) -> torch.Tensor:
    batch = random_batch()
    new_BT = batch["new"].clone().requires_grad_()
    losses_BT = token_losses({**batch, "new": new_BT}, LossSpec())
    pieces = zip(losses_BT.split(cut), batch["mask"].split(cut), strict=True)
    average = averaging(kind, len(cut))
    return torch.autograd.grad(torch.stack([average(*piece) for piece in pieces]).sum(), new_BT)[0]


def test_a_recipe_is_the_objectives_with_what_was_given_in_its_place() -> None:
    assert LossSpec().recipe == Recipe("token", "response", "group_std", 0.2, 0.2)
    changed = LossSpec(objective="dapo", normaliser="constant", clip_low=0.1)
    assert changed.recipe == Recipe("token", "constant", "group_std", 0.1, 0.28)
