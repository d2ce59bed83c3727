"""lm_eval on any sampler, with the task's own prompt; its samples logged, then rescored with Assay's verifiers."""
