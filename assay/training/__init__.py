"""GRPO: advantages, losses, the policy, the rollout loop, and checkpoints that resume to the same bytes."""
