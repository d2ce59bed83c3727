"""From the trainer's weights to the copies inside vLLM.

    InProcess    the engine lives in the trainer's process: its own loader takes the tensors as they are
    OverNCCL     the engine lives on other GPUs: vLLM's weight transfer broadcasts to all its workers
    read_files   another model's files, read by each worker: tensors do not reach workers in other processes

vLLM renames, fuses (q, k, v into one matrix), shards and casts while it loads, as it does with a checkpoint's files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from threading import Thread
from typing import Any, Protocol, TypeVar

import torch

from assay.contracts.errors import StageError

PATIENCE_S = 3600.0
"""For vLLM to take weights, or to end the next completion: one that works never takes so long (F07)."""

T = TypeVar("T")
Weights = Iterable[tuple[str, torch.Tensor]]


class Transfer(Protocol):
    """A way for weights."""

    def send(self, weights: Weights) -> None:
        """Have every worker of the engine hold these weights."""
        ...


class InProcess:
    """For an engine whose worker runs in this process."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm

    def send(self, weights: Weights) -> None:
        """Load tensors layer by layer, over the old ones."""
        settle()
        self.llm.collective_rpc("reload_weights", kwargs={"weights_iterator": _detached(weights)})
        self.llm.apply_model(repack_tied_head)
        settle()


def read_files(llm: Any, location: str) -> None:
    """Have every worker, in whatever process, hold the weights of a model's folder."""
    Control(llm).call("reload_weights", weights_path=location)
    llm.apply_model(repack_tied_head)


def settle() -> None:
    """Wait for all work on this thread's accelerator, whatever thread or stream it was begun on.

    Weights are copied or merged on the trainer's stream, vLLM reads them on others, and none of them waits for another:
    they would be read half written, and overwritten while they are read.
    """
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.synchronize()


def _detached(weights: Weights) -> Iterator[tuple[str, torch.Tensor]]:
    return ((name, tensor.detach()) for name, tensor in weights)


def repack_tied_head(model: Any) -> None:
    """On CPU vLLM multiplies by a packed copy of the output layer. When that layer is the embedding, the checkpoint has
    no weight of its own for it, so reloading passes it by and the copy stays what it was.
    """
    from vllm.platforms import current_platform

    head = getattr(model, "lm_head", None)
    if not current_platform.is_cpu() or head is None or not getattr(model.config, "tie_word_embeddings", False):
        return
    head.weight = model.model.embed_tokens.weight
    head.quant_method.process_weights_after_loading(head)


class OverNCCL:
    """For an engine with workers on GPUs that the trainer does not use; NCCL takes no GPU twice."""

    def __init__(self, llm: Any, workers: int) -> None:
        from vllm.distributed.weight_transfer import WeightTransferTrainerFactory
        from vllm.distributed.weight_transfer.nccl_engine import NCCLTrainerInitInfo
        from vllm.utils.network_utils import get_open_port

        self.source = Held()
        info = NCCLTrainerInitInfo("127.0.0.1", get_open_port(), world_size=workers + 1, rank=0)
        self.engine = within(
            PATIENCE_S,
            "vLLM's workers to join over NCCL",
            lambda: WeightTransferTrainerFactory.trainer_init(info, client=Control(llm), source=self.source),
        )

    def send(self, weights: Weights) -> None:
        """Broadcast tensor by tensor, packed into buffers. Raises StageError when it does not end (F07)."""
        self.source.weights = dict(_detached(weights))
        settle()
        within(PATIENCE_S, "vLLM's workers to take new weights over NCCL", self.engine.send_weights)
        self.source.weights = {}


def within(seconds: float, what: str, work: Callable[[], T]) -> T:
    """What `work` returns. NCCL waits for a worker that died for ever: a thread waits for it, and is left behind."""
    done: Future[T] = Future()

    def fulfil() -> None:
        try:
            done.set_result(work())
        except BaseException as error:  # noqa: BLE001 - raised again below
            done.set_exception(error)

    Thread(target=fulfil, daemon=True).start()
    with answering(what):
        return done.result(seconds)


@contextmanager
def answering(what: str) -> Iterator[None]:
    """Raises StageError where vLLM gives no answer in time."""
    try:
        yield
    except TimeoutError as error:
        told = f" ({error})" if str(error) else ""
        remedy = "Look at vLLM's log, and for a worker that died; then run the stage again"
        raise StageError(f"waited in vain for {what}{told}. {remedy}") from error


class Control:
    """vLLM's control plane for updates, `VLLMWeightSyncClient`, over the engine's own calls to its workers."""

    def __init__(self, llm: Any) -> None:
        self.llm = llm

    def call(self, method: str, **arguments: Any) -> None:
        """On every worker. Raises StageError when one in another process does not answer in time (F07)."""
        with answering(f"vLLM's workers to {method.replace('_', ' ')}"):
            self.llm.collective_rpc(method, timeout=PATIENCE_S, kwargs=arguments)

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        self.call("init_weight_transfer_engine", init_info=init_info)

    def start_weight_update(self) -> None:
        self.call("start_weight_update")

    def update_weights(self, update_info: Any) -> None:
        self.call("update_weights", update_info=update_info)

    def finish_weight_update(self, weight_version: str | None = None) -> None:  # noqa: ARG002
        self.call("finish_weight_update")


class Held:
    """What vLLM's trainer side asks of a `WeightSource`: names and shapes first, then the tensors in the same order."""

    def __init__(self) -> None:
        self.weights: dict[str, torch.Tensor] = {}

    def metadata(self) -> list[Any]:
        """Name, dtype and shape of each tensor."""
        from vllm.distributed.weight_transfer import ParamMeta

        return [ParamMeta(name, tensor.dtype, tuple(tensor.shape)) for name, tensor in self.weights.items()]

    def __iter__(self) -> Iterator[tuple[str, torch.Tensor]]:
        return iter(self.weights.items())


@contextmanager
def visible_devices(count: int) -> Iterator[None]:
    """While the block runs, processes that start see `count` accelerators, those after the first; 0: all of them."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    if count:
        own = before.split(",") if before else [str(number) for number in range(count + 1)]
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(own[1 : count + 1])
    try:
        yield
    finally:
        if before is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = before
        elif count:
            del os.environ["CUDA_VISIBLE_DEVICES"]
