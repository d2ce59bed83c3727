"""Pass@k of the base model on every training prompt, and what follows from it: order, filter, adaptive budgets."""
