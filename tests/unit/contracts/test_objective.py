"""Settings of the loss that mean nothing are refused, in words that say what to do."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import ValidationError

from assay.contracts.objective import RECIPES, KLSpec, LossSpec, MismatchSpec, Objective


@pytest.mark.parametrize("objective", get_args(Objective))
def test_every_objective_is_a_setting_by_its_name_alone(objective: Any) -> None:
    assert LossSpec(objective=objective).recipe == RECIPES[objective]


def test_the_table_of_objectives_is_the_recipes() -> None:
    """docs/explanation/losses.md, row by row: name, clip, normaliser, advantage."""
    page = (Path(__file__).parents[3] / "docs/explanation/losses.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| `")]
    table = {row[0].split("`")[1]: row for row in rows if len(row) == 7 and row[0] != "`objective`"}
    assert set(table) == set(RECIPES)
    for name, recipe in RECIPES.items():
        _, _, _, clip, normaliser, advantage, _ = table[name]
        low = "none" if recipe.clip_low == 1 else f"{recipe.clip_low:.4f}".rstrip("0")
        assert (clip, normaliser, advantage) == (
            f"{low}, {recipe.clip_high:.4f}".rstrip("0").rstrip("."),
            f"`{recipe.normaliser}`",
            f"`{recipe.advantage}`",
        )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"objective": "ppo", "advantage": "group_std"},
            "ppo's advantage is gae, not group_std; leave `advantage` out",
        ),
        ({"advantage": "gae"}, "grpo has no critic for advantage gae; use objective ppo"),
        ({"objective": "dapo", "critic": {"gamma": 0.99}}, "dapo has no critic; leave `critic` out"),
        ({"objective": "gspo", "normaliser": "tokens"}, "normaliser tokens would weigh it by length; use response"),
        ({"objective": "rloo", "normaliser": "constant"}, "normaliser constant would weigh it by length; use response"),
        ({"dual_clip": 1.1}, "dual_clip 1.1 must lie above 1 + clip_high, 1.2; 3 is usual"),
        ({"objective": "cispo", "dual_clip": 9.0}, "cispo bounds its ratio by itself; leave `dual_clip` out"),
        ({"objective": "reinforce"}, "'reinforce++'"),
        ({"clip_low": 1.5}, "less than or equal to 1"),
    ],
)
def test_nonsense_is_refused_with_a_remedy(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        LossSpec.model_validate(settings)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"objective": "grpo", "normaliser": "tokens", "advantage": "group_mean_batch_std"},
        {"objective": "reinforce++", "advantage": "group_mean"},
        {"objective": "gspo", "advantage": "leave_one_out", "dual_clip": 3.0},
        {"objective": "ppo", "normaliser": "response", "critic": {"gae_lambda": 1.0}},
    ],
)
def test_parts_of_a_recipe_can_be_changed(settings: dict[str, Any]) -> None:
    recipe = LossSpec.model_validate(settings).recipe
    for name in {"normaliser", "advantage", "dual_clip"} & set(settings):
        assert getattr(recipe, name) == settings[name]


def test_an_arm_that_changes_the_objective_gets_all_of_its_recipe() -> None:
    """Arms are laid over the settings of the ablation, which spell out what was given and no more."""
    base = LossSpec(objective="dapo", std="population").model_dump(mode="json")
    assert LossSpec.model_validate(base | {"objective": "dr_grpo"}).recipe == RECIPES["dr_grpo"]


def test_the_sampler_is_corrected_for_by_default() -> None:
    assert (MismatchSpec().weight, MismatchSpec().cap) == ("token", 2.0)


def test_a_kl_is_in_the_loss_unless_it_is_off_or_in_the_reward() -> None:
    assert KLSpec().in_loss
    assert not KLSpec(coefficient=0.0).in_loss
    assert not KLSpec(estimator="k1_reward").in_loss
