"""Pipelines: a plan laid out as a Kubeflow DAG. Yours to edit; `assay run` and `assay compile` load them by path."""
