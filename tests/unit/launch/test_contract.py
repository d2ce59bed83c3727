"""How training processes are started, as data."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from assay.contracts.launch import Inline, Launch, Torchrun, TrainJob
from assay.contracts.stage import Runtime

JOB = {"kind": "trainjob", "namespace": "assay", "runtime": "assay-train", "image": "i:1", "cpu": "8", "memory": "64Gi"}


def read(value: dict[str, object]) -> Launch:
    return TypeAdapter(Launch).validate_python(value)  # type: ignore[no-any-return]


def test_a_laptop_trains_in_the_stages_own_process() -> None:
    assert Runtime().launch == Inline()


def test_the_kind_says_which_fields_there_are() -> None:
    assert isinstance(read({"kind": "torchrun", "processes": 2}), Torchrun)
    assert isinstance(read(JOB), TrainJob)
    with pytest.raises(ValidationError, match="namespace"):
        read({"kind": "torchrun", "namespace": "assay"})


@pytest.mark.parametrize(
    ("launch", "count"),
    [
        ({"kind": "inline"}, 1),
        ({"kind": "torchrun", "processes": 8}, 8),
        (JOB | {"nodes": 2, "processes_per_node": 4}, 8),
    ],
)
def test_the_processes_are_those_of_all_nodes(launch: dict[str, object], count: int) -> None:
    assert read(launch).world_size == count
