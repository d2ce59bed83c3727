"""`assay stage`: one stage of a plan, as a container runs it."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.options import DEFAULT_ROOT, Profile, Root, load_profile
from assay.contracts.ablation import ResolvedAblation
from assay.contracts.errors import SpecError
from assay.plan.expand import expand


def stage(
    node: Annotated[str, typer.Argument(help='Name of the stage in the plan, for instance "train curriculum/seed0".')],
    ablation: Annotated[
        Path, typer.Option(help="Resolved ablation, JSON, as `assay compile` puts it into the package.")
    ],
    root: Root = DEFAULT_ROOT,
    profile: Profile = None,
) -> None:
    """Run one stage of a plan. Its inputs must be committed. Prints the artifact's URI."""
    content = ablation.read_text(encoding="utf-8")
    nodes = {known.name: known for known in expand(ResolvedAblation.model_validate_json(content)).nodes}
    if node not in nodes:
        raise SpecError(node, "the plan has no such stage", f"Name one of: {', '.join(nodes)}")
    module = importlib.import_module(f"assay.stages.{nodes[node].spec.stage}")
    typer.echo(module.main(content, node, nodes[node].key, root, load_profile(profile).model_dump_json()).uri)
