"""From an ablation YAML to stages with content keys: the pipeline as data, before anything runs."""
