"""Stage *export*: the checkpoints of one run as Hugging Face model directories, re-read and compared.

step-000040/{config.json, generation_config.json, model.safetensors, tokenizer…, README.md}
exports.json    steps, validation accuracies, and which one the report speaks of
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import yaml
from safetensors.torch import load as load_tensors

from assay.contracts.ablation import ModelSpec
from assay.contracts.errors import InvariantError
from assay.contracts.manifest import Manifest
from assay.contracts.stage import ExportStage
from assay.sampling.models import load_model, load_tokenizer
from assay.stages.work import Outcome, Work, entry
from assay.training.paths import checkpoint_name, model_path
from assay.training.selection import checkpoints_to_evaluate, chosen_checkpoint

CPU = torch.device("cpu")


@dataclass(frozen=True, slots=True)
class Exports:
    """`exports.json`."""

    steps: list[int]
    chosen: int
    """The checkpoint with the best validation accuracy; where none was ever judged, the last."""
    validation: dict[str, float]


def run(spec: ExportStage, work: Work) -> Outcome:
    """Write, re-read and compare every checkpoint that will be evaluated."""
    train = work.input(spec.train)
    record = json.loads(train.read_bytes("run.json"))
    validation = {int(step): value for step, value in record["validation"].items()}
    stored = sorted(int(info.path.split("/")[1].removeprefix("step-")) for info in train.list("checkpoints"))
    scored = {step: validation[step] for step in stored if step in validation}
    chosen = chosen_checkpoint(scored) if scored else max(stored)
    exports = Exports(checkpoints_to_evaluate(stored, scored, spec.checkpoints), chosen, record["validation"])
    work.progress.begin(len(exports.steps), "checkpoints")
    for step in exports.steps:
        _export(spec, work, load_tensors(train.read_bytes(model_path(step))), step, work.manifest(spec.train))
        work.progress.advance()
    work.artifact.write_bytes("exports.json", json.dumps(asdict(exports), indent=1, sort_keys=True).encode())
    return Outcome({"checkpoints": float(len(exports.steps)), "chosen_step": float(exports.chosen)})


def _export(spec: ExportStage, work: Work, weights: dict[str, torch.Tensor], step: int, trained: Manifest) -> None:
    model, tokenizer = load_model(spec.model, CPU), load_tokenizer(spec.model)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        (Path(folder) / "README.md").write_text(model_card(spec, step, trained), encoding="utf-8")
        _compare(spec.model, folder, weights)
        work.artifact.upload_tree(Path(folder), checkpoint_name(step))


def _compare(base: ModelSpec, folder: str, weights: dict[str, torch.Tensor]) -> None:
    """Every parameter as re-read must equal the training weights to the bit (F18)."""
    reread = load_model(base.model_copy(update={"path": folder, "digest": ""}), CPU)
    differing = [
        name for name, tensor in reread.named_parameters() if not torch.equal(tensor, weights[name].to(tensor))
    ]
    if differing:
        raise InvariantError(
            f"re-read weights differ from the trained ones in {differing[:3]}, {len(differing)} in all"
        )


def model_card(spec: ExportStage, step: int, trained: Manifest) -> str:
    """The README of an exported checkpoint, with the resolved settings it was trained with (F28)."""
    settings = yaml.safe_dump(trained.spec["train"], sort_keys=True)
    return (
        "---\nlibrary_name: transformers\ntags: [grpo, rlvr, assay]\n---\n\n"
        f"# {spec.label}, step {step}\n\n"
        f"Trained from `{Path(spec.model.path).name}` (digest `{spec.model.digest[:12]}`) with GRPO by Assay "
        f"{trained.assay_version}; training artifact `{trained.stage}/{trained.key}`.\n\n"
        f"## Settings as they were used\n\n```yaml\n{settings}```\n"
    )


main = entry(run)
