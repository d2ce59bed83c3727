"""One process that trains a tiny policy beside vLLM, alone or among others; `tests/gpu/test_vllm.py` starts it.

    python -m tests.gpu.training_with_vllm FOLDER cuda|cpu ZERO_STAGE

Writes, rests, makes one real update, takes the new weights and compares; then once more from another thread, as
sampling ahead does. Leaves the mean difference of log-probs in FOLDER/RANK.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from assay.contracts.ablation import ModelSpec
from assay.contracts.precision import bounds
from assay.contracts.sampling import Completion, SampleRequest, VllmSettings
from assay.contracts.scale import Rank, Scale
from assay.contracts.stage import Runtime
from assay.sampling.agreement import Comparison, require_agreement, score_with
from assay.sampling.engines import training_sampler
from assay.sampling.models import load_model, load_tokenizer, pick_device
from assay.training import engines
from assay.training.background import Background
from assay.training.update import update_policy
from assay.training.world import World, joined
from tests.parity.sampling.others import PROBES
from tests.parity.training.processes import share_out_small_weights, step_batch, train_spec

START = ModelSpec(path=str(Path(__file__).parents[2] / "models" / "sums-500k"), kind="base")


class Written:
    """A sampler that has written already."""

    def __init__(self, completions: list[Completion]) -> None:
        self.completions = completions

    def generate(self, requests: Sequence[SampleRequest]) -> list[Completion]:
        assert len(requests) == len(self.completions)
        return self.completions


def main(folder: Path, kind: str, zero_stage: int) -> None:
    vllm = VllmSettings(enforce_eager=True, colocated_memory_share=0.3, cpu_cache_bytes=1 << 28)
    scale = Scale.model_validate({"zero_stage": zero_stage})
    runtime = Runtime.model_validate({"device": kind, "sampler": "vllm", "vllm": vllm, "scale": scale})
    device, rank = pick_device(runtime), Rank.from_environment()
    if kind == "cuda":
        torch.cuda.set_device(device)
    share_out_small_weights()
    with joined(rank, device, 600) as world:
        (folder / f"{rank.index}.json").write_text(json.dumps(gap_after_an_update(runtime, device, world)))


def gap_after_an_update(runtime: Runtime, device: torch.device, world: World) -> float:
    spec = train_spec({})
    model = engines.prepare(load_model(START, device), spec.engine, runtime.scale)
    sampler = training_sampler(START, model, load_tokenizer(START), spec, runtime, PROBES)
    policy, score = engines.make_policy(model, spec, runtime.scale, world), score_with(model)
    before = sampler.generate(PROBES)
    sampler.rest()
    batch, advantages = step_batch(policy, 0)
    update_policy(policy, batch, advantages, spec)
    sampler.update_weights(policy.named_weights(), score)
    assert sampler.generate(PROBES) != before
    sampler.rest()
    copies = [(name, weight.detach().clone()) for name, weight in policy.named_weights()]
    written = Written(in_another_thread(sampler, copies))
    return require_agreement(written, score, Comparison(PROBES, bounds(spec).gap))


def in_another_thread(sampler: Any, weights: list[tuple[str, torch.Tensor]]) -> list[Completion]:
    background = Background("rollouts")
    background.submit(lambda: sampler.update_weights(weights, None)).result(300)
    written: list[Completion] = background.submit(lambda: sampler.generate(PROBES)).result(300)
    assert background.close(5)
    return written


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
