"""PPO in the loop itself: it learns, and a killed run continues with the critic it had."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from assay.storage.files import FileStore
from tests.faults.training.toy_run import resumes_to_the_same_bytes

PPO: dict[str, Any] = {
    "loss": {"objective": "ppo", "critic": {"learning_rate": 3e-3}},
    "kl": {"estimator": "k1_reward", "coefficient": 0.01},
    "updates_per_step": 2,
}


def test_a_killed_run_resumes_to_the_same_bytes_critic_and_all(run: Any, tmp_path: Path) -> None:
    resumes_to_the_same_bytes(run, tmp_path, first=2, every=4, **PPO)


@pytest.mark.slow
def test_policy_and_critic_learn(run: Any, tmp_path: Path) -> None:
    """Rewards rise, and the critic comes to know something of what will be."""
    longer = {"steps": 40, "prompts_per_step": 8, "samples_per_prompt": 8, "validate_every_steps": 40}
    settings = PPO | longer | {"checkpoint_every_steps": 40, "prompts": {}}
    rows = list(run(FileStore(tmp_path), **settings).metrics.values())
    rewards = [row["reward_mean"] for row in rows]
    assert fmean(rewards[-5:]) > fmean(rewards[:5]) + 0.2
    explained = [row["value_explained"] for row in rows]
    assert fmean(explained[-15:]) > fmean(explained[:10]) + 0.03
    assert rows[0]["ratio_max"] > 1.0
