"""Training processes for tests: each runs jobs, one after the other, on the same synthetic rollouts.

    python -m tests.parity.training.processes FOLDER '{"zero2": {"updates": [0, 3], "scale": {"zero_stage": 2}}}'

A job trains a tiny policy. What the first process finds comes back as files of FOLDER/zero2: weights, moments,
counters, metrics and log-probs.
"""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.models import tiny_model

ROOT = Path(__file__).parents[3]
DEADLINE_S = 1200


def run(world: int, folder: Path, jobs: dict[str, Any], device: str = "cpu") -> dict[str, Any]:
    """The jobs in `world` processes; returns by name what the first process left."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_EXTENSIONS_DIR": str(folder / "extensions")}
    argv = [sys.executable, "-m", "tests.parity.training.processes", str(folder), json.dumps(jobs), device]
    folder.mkdir(parents=True)
    log = folder / "log"
    with log.open("w") as told:
        ranks = [environment | place for place in places(world)]
        started = [subprocess.Popen(argv, env=rank, cwd=ROOT, stdout=told, stderr=told) for rank in ranks]
        codes = [process.wait(DEADLINE_S) for process in started]
    assert codes == [0] * world, log.read_text()
    assert not (folder / "extensions").exists(), "something was compiled"
    return {name: found(folder / name) for name in jobs}


def places(world: int) -> list[dict[str, str]]:
    """What torchrun would tell each process; one alone is told nothing."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "WORLD_SIZE": str(world)}
    numbers = (str(rank) for rank in range(world))
    return [{}] if world == 1 else [shared | {"RANK": number, "LOCAL_RANK": number} for number in numbers]


def found(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    notes = json.loads((folder / "notes.json").read_text())
    return notes | {name: load_file(folder / f"{name}.safetensors") for name in ("weights", "moments", "sampled")}


def main(folder: Path, jobs: dict[str, Any], kind: str = "cpu") -> None:
    import torch

    from assay.contracts.scale import Rank
    from assay.training.world import joined

    torch.set_num_threads(1)
    rank = Rank.from_environment()
    device = torch.device(kind, rank.local) if kind == "cuda" else torch.device(kind)
    with joined(rank, device, 120) as world:
        for name, job in jobs.items():
            train(job | {"device": str(device)}, world, folder / name)


def train(job: dict[str, Any], world: Any, save: Path) -> None:
    """Build the policy, restore it, update it, and leave what came of it."""
    from assay.training.update import update_policy

    spec = train_spec(job.get("spec", {}))
    policy = make_policy(job, spec, world)
    first, last = job["updates"]
    if "load" in job:
        start = found(save.parent / job["load"])
        policy.restore(start["weights"], start["moments"], start["counters"])
    metrics = []
    for step in range(first, last):
        batch, advantages = step_batch(policy, step)
        metrics.append(update_policy(policy, batch, advantages, spec))
    leave(policy, metrics, save)


def make_policy(job: dict[str, Any], spec: Any, world: Any) -> Any:
    from assay.contracts.scale import Scale
    from assay.training import engines

    share_out_small_weights()
    allow_fp16_on_a_cpu()
    make_logits_in_pieces(job.get("piece_tokens"))
    scale = Scale.model_validate(job.get("scale", {}))
    model = engines.prepare(tiny_model(**job.get("model", {})).to(job["device"]), spec.engine, scale)
    return engines.make_policy(model, spec, scale, world)


def share_out_small_weights() -> None:
    """ZeRO 3 leaves weights of under 100,000 numbers whole, and a tiny model has no others."""
    from assay.training import zero

    made = zero.engine_settings

    def settings(*given: Any) -> dict[str, Any]:
        found = made(*given)
        found["zero_optimization"]["stage3_param_persistence_threshold"] = 0
        return found

    zero.engine_settings = settings


def allow_fp16_on_a_cpu() -> None:
    """It is slow there, and does what it does on a GPU: loss scaling is tested without one."""
    from assay.training import engines

    engines._require_possible = lambda *_: None
    if find_spec("deepspeed"):
        from deepspeed.accelerator import get_accelerator

        type(get_accelerator()).is_fp16_supported = lambda _: True


def make_logits_in_pieces(tokens: int | None) -> None:
    """As for a large vocabulary; or at once."""
    from assay.training import logprobs

    logprobs.WHOLE_LOGITS = 0 if tokens else 1 << 25
    logprobs.CHUNK_TOKENS = tokens or 512


def train_spec(changes: dict[str, Any]) -> Any:
    from assay.contracts.training import TrainSpec

    optimizer = {"learning_rate": 3e-3, "warmup_steps": 2, "weight_decay": 0.01, "schedule": "linear"}
    return TrainSpec.model_validate(
        {"steps": 4, "optimizer": optimizer, "kl": {"coefficient": 0.05}, "micro_batch_tokens": 60} | changes
    )


def step_batch(policy: Any, step: int) -> tuple[Any, list[list[float]]]:
    """Three groups of four completions of mixed lengths, with advantages; the same in every process."""
    from assay.training.credit import StepBatch

    rollouts = synthetic_rollouts(step)
    old = policy.logprobs(rollouts, policy.model)
    reference = policy.logprobs(rollouts, policy.reference)
    for rollout, values in zip(rollouts, old, strict=True):
        object.__setattr__(rollout.completion, "logprobs", tuple(values))
    worth = [float(place % 4 - 1.5) for place in range(len(rollouts))]
    advantages = [[value] * len(r.completion.tokens) for value, r in zip(worth, rollouts, strict=True)]
    return StepBatch(rollouts, [4, 4, 4], old, reference, 12), advantages


def synthetic_rollouts(step: int) -> list[Any]:
    from assay.contracts.records import PromptRow, Verdict
    from assay.contracts.sampling import Completion
    from assay.training.rollout import Rollout

    draw, found = random.Random(step), []
    for group in range(3):
        prompt = tokens(draw, 3 + 2 * group)
        row = PromptRow(f"toy/{group}", "toy", "train", "q", "1", "all", "q", prompt)
        for sample in range(4):
            written = tuple(tokens(draw, draw.randrange(1, 9)))
            completion = Completion("text", written, (-1.0,) * len(written), "stop")
            found.append(Rollout(row, sample, 0, completion, Verdict("wrong", 0.0), {"correct": 0.0}, 0.0))
    return found


def tokens(draw: random.Random, count: int) -> list[int]:
    return [draw.randrange(258) for _ in range(count)]


def leave(policy: Any, metrics: Sequence[dict[str, float]], folder: Path) -> None:
    """Gathering is everybody's work; writing is the first's."""
    from safetensors.torch import save_file

    sampled = {name: tensor.float().contiguous().clone() for name, tensor in policy.named_weights()}
    files = {"weights": policy.weights(), "moments": policy.moments(), "sampled": sampled}
    notes = {"counters": policy.counters(), "metrics": metrics, "logprobs": step_batch(policy, 99)[0].old}
    if policy.world.rank.leads:
        folder.mkdir(parents=True)
        for name, tensors in files.items():
            save_file(tensors, folder / f"{name}.safetensors")
        (folder / "notes.json").write_text(json.dumps(notes))
    policy.world.wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]), *sys.argv[3:])
