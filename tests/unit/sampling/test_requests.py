"""A request carries the task's rules and nobody else's."""

from __future__ import annotations

import pytest

from assay.contracts.errors import SpecError
from assay.contracts.records import PromptRow
from assay.contracts.sampling import SampleRequest
from assay.contracts.task import TaskSpec
from assay.sampling.requests import request_for, require_room


def test_a_request_has_the_prompt_s_tokens_and_the_task_s_stops_and_budget() -> None:
    """F11, F12."""
    task = TaskSpec.model_validate(
        {
            "name": "sums",
            "source": {"kind": "arithmetic", "levels": {"easy": [2, 1]}},
            "prompt": "{question}",
            "stop": ["\n\n", "Question:"],
            "max_completion_tokens": 37,
        }
    )
    prompt = PromptRow("sums/1", "sums", "train", "1 + 1", "2", "easy", "1 + 1", [5, 0, 9])
    assert request_for(prompt, task, temperature=0.7, seed=123) == SampleRequest(
        prompt_tokens=(5, 0, 9), seed=123, max_tokens=37, temperature=0.7, stop=("\n\n", "Question:")
    )


def test_a_request_has_room_up_to_the_last_token() -> None:
    requests = [SampleRequest((1, 2), 0, tokens, 1.0) for tokens in (3, 8)]
    require_room(requests, 10, "the bound")
    require_room(requests, None, "the bound")
    require_room([], 10, "the bound")
    with pytest.raises(SpecError, match="the bound: 9 tokens, and a prompt with its completion may have 10"):
        require_room(requests, 9, "the bound")
