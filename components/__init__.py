"""Thin Kubeflow components: one folder a stage, each importing its stage lazily and nothing else of Assay."""
