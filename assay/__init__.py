"""Assay: RLVR ablations you can trust.

One YAML names the model, tasks, arms and seeds; a Kubeflow pipeline builds the pass@k curriculum, trains every arm,
exports, evaluates, rescores and writes one report. Importing this package imports nothing heavy.
"""

__version__ = "0.1.0"
