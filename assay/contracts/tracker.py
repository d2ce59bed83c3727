"""Experiment trackers that hear of a run's metrics, beside TensorBoard and the Parquet tables.

What they need to log in comes from the environment alone: WANDB_API_KEY, MLFLOW_TRACKING_USERNAME, _PASSWORD, _TOKEN.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator

from assay.contracts.base import Frozen


class WandbTracker(Frozen):
    """Weights & Biases."""

    kind: Literal["wandb"] = "wandb"
    project: str = Field("assay", min_length=1)
    """Project that the runs appear in."""
    entity: str = ""
    """User or team; empty: the key's own."""
    mode: Literal["online", "offline"] = "online"
    """`offline`: files alone, in `folder`, for `wandb sync`."""
    folder: str = ""
    """Where wandb keeps its files; empty: a folder for temporary files."""


class MlflowTracker(Frozen):
    """MLflow."""

    kind: Literal["mlflow"] = "mlflow"
    uri: str = Field(min_length=1)
    """Tracking server, for instance https://mlflow.example.org, or a database: sqlite:///mlflow.db."""
    experiment: str = Field("assay", min_length=1)
    """Experiment that the runs appear in."""

    @field_validator("uri")
    @classmethod
    def _no_password(cls, uri: str) -> str:
        if re.search(r"//[^/@]*:[^/@]*@", uri):
            raise ValueError(
                "the uri holds a password, and profiles are readable; give it as MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD in the environment"
            )
        return uri


Tracker = Annotated[WandbTracker | MlflowTracker, Field(discriminator="kind")]
