"""How training processes are started. All that starting needs and nothing secret: Secrets are named, never held.

    inline      in the step's own process: a laptop
    torchrun    as a child of the step's process, up to one node
    trainjob    in pods of their own, as a Kubeflow Trainer TrainJob, on any number of nodes

None of it changes a result, so none of it is part of a content key.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from assay.contracts.base import Frozen

RUN_ID = "ASSAY_RUN_ID"
"""Environment variable: the id of the Kubeflow run. Not set on a laptop, where a second run is a person's decision."""

DEADLINE_S = 6 * 3600


class SecretVariable(Frozen):
    """An environment variable whose value is a key of an existing Secret."""

    variable: str
    """Name of the environment variable."""
    secret: str
    """Name of the Secret."""
    key: str
    """Key within the Secret."""
    optional: bool = False
    """Start without the variable when the Secret does not exist."""


class Inline(Frozen):
    """In the step's own process."""

    kind: Literal["inline"] = "inline"

    @property
    def world_size(self) -> int:
        """Training processes in all."""
        return 1


class Torchrun(Frozen):
    """torchrun as a child of the step's process."""

    kind: Literal["torchrun"] = "torchrun"
    processes: int = Field(1, ge=1)
    """One for each accelerator of the pod."""
    deadline_s: float = Field(DEADLINE_S, gt=0)
    """Wall-clock time after which training is ended; it resumes from its newest checkpoint when run again."""
    grace_s: float = Field(20, gt=0)
    """Between SIGTERM and SIGKILL. Shorter than the pod's own grace period, which is 30 s unless set."""

    @property
    def world_size(self) -> int:
        """Training processes in all."""
        return self.processes


class TrainJob(Frozen):
    """A Kubeflow Trainer TrainJob on a TrainingRuntime of the same namespace."""

    kind: Literal["trainjob"] = "trainjob"
    namespace: str
    """Where the TrainJob is created."""
    runtime: str
    """The TrainingRuntime; it brings volumes, /dev/shm, the service account and the security context."""
    image: str
    """Image of its pods."""
    nodes: int = Field(1, ge=1)
    """Pods, a node each."""
    processes_per_node: int = Field(1, ge=1)
    """One for each accelerator of a pod."""
    cpu: str
    """Requested by each node's pod."""
    memory: str
    """Requested by each node's pod, and its limit."""
    accelerators: int = Field(0, ge=0)
    """Of each node's pod."""
    accelerator: str = "nvidia.com/gpu"
    """The resource that the device plugin offers."""
    environment: dict[str, str] = {}
    """Plain variables of the pods."""
    secrets: tuple[SecretVariable, ...] = ()
    """Variables of the pods that come from Secrets."""
    node_selector: dict[str, str] = {}
    """Labels of the nodes that may be used."""
    tolerations: tuple[dict[str, str], ...] = ()
    """As Kubernetes writes them: key, operator, value, effect."""
    image_pull_secret: str = ""
    """Secret for a private registry; empty: none."""
    deadline_s: float = Field(DEADLINE_S, gt=0)
    """From the TrainJob's creation, so time spent in a queue counts; then it is deleted, and resumes when run again."""
    stuck_s: float = Field(600, ge=0)
    """How long an image that cannot be pulled or a missing Secret is waited for: they seldom mend themselves."""
    poll_s: float = Field(10, gt=0)
    """Between two looks at the TrainJob."""

    @property
    def world_size(self) -> int:
        """Training processes in all."""
        return self.nodes * self.processes_per_node


Launch = Annotated[Inline | Torchrun | TrainJob, Field(discriminator="kind")]
