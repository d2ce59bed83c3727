"""The maths ablation: one node for every stage of the plan, arms and seeds unrolled, equal work collapsed.

    assay run configs/ablations/quickstart.yaml                     # on this machine, through kfp.local
    assay compile pipelines/math_ablation.py -o math_ablation.yaml  # a package for a Kubeflow cluster

The DAG is the plan's: prepare, curriculum, then train -> export -> evaluate -> rescore for every arm and seed beside
the base model's evaluate -> rescore, and the report over all of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from kfp import dsl

from components.curriculum.component import curriculum
from components.evaluate.component import evaluate
from components.export.component import export
from components.prepare.component import prepare
from components.report.component import report
from components.rescore.component import rescore
from components.train.component import train

COMPONENTS: dict[str, Callable[..., Any]] = {
    "prepare": prepare,
    "curriculum": curriculum,
    "train": train,
    "export": export,
    "evaluate": evaluate,
    "rescore": rescore,
    "report": report,
}


def build(nodes: Sequence[Any], ablation: str, root: str, runtime: str) -> Callable[..., Any]:
    """A KFP pipeline over plan nodes. `ablation` and `runtime` are the JSON that every component is given.

    A node waits for those it needs; needs that are not among `nodes` are committed already.
    """
    defaults = {"ablation": ablation, "root": root, "runtime": runtime}

    @dsl.pipeline(name="math-ablation", description="RLVR ablation: curriculum, GRPO arms, evaluation, report.")
    def math_ablation(
        ablation: str = defaults["ablation"], root: str = defaults["root"], runtime: str = defaults["runtime"]
    ) -> None:
        tasks: dict[str, Any] = {}
        for node in nodes:
            task = COMPONENTS[node.spec.stage](
                ablation=ablation, node=node.name, key=node.key, root=root, runtime=runtime
            )
            task.set_display_name(node.name)
            # Deleted artifacts would still hit Kubeflow's cache; the manifest in the store decides instead.
            task.set_caching_options(False)
            task.after(*(tasks[name] for name in node.needs if name in tasks))
            tasks[node.name] = task

    return math_ablation
