"""vLLM in bf16, and its weight transfer: the calls that NCCL rides on, here with tensors handed over in memory.

NCCL needs GPUs; the order of the calls, the names, shapes and dtypes that go with them, and the worker that answers are
the same. `tests/gpu` sends over NCCL.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.precision import BOUNDS
from assay.contracts.sampling import SampleRequest, VllmSettings
from assay.contracts.seeds import derive
from assay.sampling.agreement import require_agreement, score_with
from assay.sampling.models import load_model
from assay.sampling.transfer import Control, Held, repack_tied_head
from tests.parity.sampling.others import IN_BF16, changed

pytest.importorskip("vllm", reason="vLLM is not installed: pip install -e '.[serve]'", exc_type=ImportError)

MODEL = ModelSpec(path=str(Path(__file__).parents[3] / "models" / "sums-500k"), kind="base")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def engine() -> Any:
    """In bf16, and with a transfer engine for handing over."""
    from vllm.distributed.weight_transfer import WeightTransferEngineFactory

    from assay.sampling import vllm_engine
    from assay.sampling.vllm_engine import EngineShape, VllmSampler

    WeightTransferEngineFactory.register_engine("handed", handed_engine())
    shape = EngineShape(CPU, torch.bfloat16, 128, tensor_parallel=1, memory_share=0.9)
    with pytest.MonkeyPatch.context() as patch:
        on_device = vllm_engine._on_device
        transfer = {"weight_transfer_config": {"backend": "handed"}}
        patch.setattr(vllm_engine, "_on_device", lambda *given: on_device(*given) | transfer)
        return VllmSampler(MODEL, VllmSettings(cpu_cache_bytes=1 << 28), shape, IN_BF16)


@pytest.fixture
def vllm(engine: Any) -> Iterator[Any]:
    yield engine
    model = load_model(MODEL, CPU)
    engine.update_weights(model.named_parameters(), score_with(model))


@dataclass
class HandedInfo:
    """What an update carries: NCCL's names, dtypes and shapes, and the tensors themselves."""

    names: list[str]
    dtype_names: list[str]
    shapes: list[list[int]]
    tensors: list[torch.Tensor]


@dataclass
class Nothing:
    """An engine like this needs no rendezvous."""


def handed_engine() -> Any:
    from vllm.distributed.weight_transfer.nccl_engine import NCCLWeightTransferEngine

    class Handed(NCCLWeightTransferEngine):
        """NCCL's worker side, but for the way the tensors come."""

        init_info_cls, update_info_cls = Nothing, HandedInfo

        def init_transfer_engine(self, init_info: Nothing) -> None:
            assert isinstance(init_info, Nothing)

        def receive_weights(self, update_info: HandedInfo) -> None:
            assert [list(tensor.shape) for tensor in update_info.tensors] == update_info.shapes
            assert [str(tensor.dtype) for tensor in update_info.tensors] == [
                f"torch.{n}" for n in update_info.dtype_names
            ]
            self.model.load_weights(zip(update_info.names, update_info.tensors, strict=True))

        def shutdown(self) -> None:
            """Nothing is held."""

    return Handed


def send(vllm: Any, source: Held) -> None:
    """What `NCCLTrainerWeightTransferEngine.send_weights` does, in its order."""
    client = Control(vllm.llm)
    meta = source.metadata()
    info = HandedInfo(
        names=[m.name for m in meta],
        dtype_names=[str(m.dtype).split(".")[-1] for m in meta],
        shapes=[list(m.shape) for m in meta],
        tensors=[tensor for _, tensor in source],
    )
    client.init_weight_transfer_engine({})
    client.start_weight_update()
    client.update_weights(asdict(info))
    client.finish_weight_update()
    vllm.llm.apply_model(repack_tied_head)
    vllm.llm.reset_prefix_cache()


def test_the_control_plane_is_what_vllm_asks_of_a_client(vllm: Any) -> None:
    from vllm.distributed.weight_transfer import VLLMWeightSyncClient

    assert isinstance(Control(vllm.llm), VLLMWeightSyncClient)


def test_weights_sent_through_the_transfer_api_are_those_written_with(vllm: Any) -> None:
    other = changed(MODEL, 5)
    source = Held()
    source.weights = {name: weight.detach() for name, weight in other.named_parameters()}
    send(vllm, source)
    assert require_agreement(vllm, score_with(other.to(torch.bfloat16)), IN_BF16) < IN_BF16.gap / 2


def test_half_precision_differs_by_what_it_explains(vllm: Any) -> None:
    """Against the trainer in bf16, and in fp32."""
    asked = [SampleRequest(tuple(range(10 + i, 40 + i)), derive(i), 32, 1.0) for i in range(32)]
    written = vllm.generate(asked)
    for dtype in (torch.bfloat16, torch.float32):
        score = score_with(load_model(MODEL, CPU).to(dtype))
        pairs = zip(asked, written, strict=True)
        scored = [(c.logprobs, score(request.prompt_tokens, c.tokens)) for request, c in pairs]
        gaps = [abs(a - b) for own, trainer in scored for a, b in zip(own, trainer, strict=True)]
        assert sum(gaps) / len(gaps) < BOUNDS["bf16"].gap / 2
        print(f"bf16 vLLM against {dtype}: mean {sum(gaps) / len(gaps):.5f}, largest {max(gaps):.4f}")


def test_a_stale_copy_in_half_precision_is_caught_too(vllm: Any) -> None:
    from assay.contracts.errors import InvariantError

    with pytest.raises(InvariantError, match="F25"):
        require_agreement(vllm, score_with(changed(MODEL, 6)), IN_BF16)
