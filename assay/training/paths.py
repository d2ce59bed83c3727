"""Where a run's checkpoints lie."""

from __future__ import annotations


def checkpoint_name(step: int) -> str:
    """`step-000040`: after 40 rollout steps."""
    return f"step-{step:06d}"


def model_path(step: int) -> str:
    """Where a checkpoint's weights lie in the artifact."""
    return f"checkpoints/{checkpoint_name(step)}/model.safetensors"
