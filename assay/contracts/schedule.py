"""Which prompts a training step uses, and how many samples each gets.

Implemented by `assay.curriculum`, used by training.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from assay.contracts.records import PromptRow


@dataclass(frozen=True, slots=True)
class Allocation:
    """One group of a step: a prompt and its number of samples."""

    prompt: PromptRow
    samples: int
    first_index: int = 0
    """Index of the first sample; above 0 where a prompt is sampled in several chunks."""

    @property
    def indices(self) -> range:
        """Sample indices; each has a request seed of its own."""
        return range(self.first_index, self.first_index + self.samples)


class PromptSchedule(Protocol):
    """Selection is a function of seed, step and what was observed before it, so a resumed run selects the same."""

    def select(self, step: int) -> Sequence[Allocation]:
        """The groups of a step. No prompt appears twice in one step."""
        ...

    def replacements(self, step: int, chosen: Collection[str]) -> Sequence[Allocation]:
        """Groups of other prompts for a step than those chosen, in the order in which they step in."""
        ...

    def observe(self, counts: Mapping[str, tuple[float, float]]) -> None:
        """Results of a step: prompt id -> (samples, correct); a correct share that is estimated need not be whole."""
        ...

    def state(self) -> dict[str, Any]:
        """What was observed so far, as JSON."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continue from a state."""
        ...
