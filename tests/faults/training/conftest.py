"""A tiny run to kill."""

from __future__ import annotations

from typing import Any

import pytest

from assay.contracts.training import TrainSpec
from assay.storage.files import FileStore
from assay.training.loop import Report, Resumed, TrainResult
from tests.faults.training.toy_run import SETTINGS, trainer


@pytest.fixture
def run(make_model: Any, byte_tokenizer: Any) -> Any:
    """`run(store, **settings)`: a run, or the rest of one."""

    def start(
        store: FileStore, report: Report = lambda *_: None, resumed: Resumed = lambda _: None, **settings: Any
    ) -> TrainResult:
        spec = TrainSpec.model_validate(SETTINGS | settings)
        return trainer(make_model, byte_tokenizer, store, spec).run(report, resumed)

    return start
