"""How training is spread over memory and processes. None of it is part of a content key: results differ in the last
bits alone, and run.json says what was used.

    zero_stage    what DeepSpeed shares out over the processes (1910.02054)
    0             nothing: each process holds everything and gradients are summed
    1             AdamW's moments and fp32 weights
    2             gradients as well
    3             the weights themselves as well
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from assay.contracts.base import Frozen


class Scale(Frozen):
    """Memory and kernels of training."""

    zero_stage: Literal[0, 1, 2, 3] | None = None
    """What the processes share out. Absent: 0 in fp32, and 1 in half precision, whose fp32 weights DeepSpeed keeps."""
    offload_optimizer: bool = False
    """Keep AdamW's state in host memory, from ZeRO 1 on."""
    offload_parameters: bool = False
    """Keep the weights' shares in host memory, for ZeRO 3."""
    activation_checkpointing: bool = False
    """Compute each block's activations again in the backward pass: far less memory, a third more time."""
    packing: bool = False
    """Lay the completions of a micro-batch end to end, almost without padding, instead of on shared prompts."""
    liger: bool = False
    """Liger's fused kernels for norms, rotary embeddings and MLPs; NVIDIA and AMD GPUs."""
    timeout_s: float = Field(1800, gt=0)
    """How long a process waits for the others before it gives up, sampling included (F14)."""

    @model_validator(mode="after")
    def _offloads_what_is_shared(self) -> Scale:
        if self.offload_optimizer and self.zero_stage == 0:
            raise ValueError("offload_optimizer needs zero_stage 1, 2 or 3; set one of them")
        if self.offload_parameters and self.zero_stage != 3:
            raise ValueError(f"offload_parameters needs zero_stage 3, not {self.zero_stage}; set it")
        return self

    def stage(self, dtype: str) -> int:
        """The ZeRO stage for a precision."""
        if self.zero_stage is not None:
            return self.zero_stage
        return 1 if dtype in ("bf16", "fp16") or self.offload_optimizer else 0


@dataclass(frozen=True, slots=True)
class Rank:
    """This process among those that train together, as torchrun numbers them."""

    index: int = 0
    of: int = 1
    local: int = 0
    """Among those of this machine: its accelerator."""

    @property
    def leads(self) -> bool:
        """The first writes what all have computed."""
        return self.index == 0

    @classmethod
    def from_environment(cls) -> Rank:
        """As torchrun started this process; the only one where nobody did."""
        numbers = (os.environ.get(name, default) for name, default in _VARIABLES.items())
        return cls(*map(int, numbers))


_VARIABLES = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0"}
