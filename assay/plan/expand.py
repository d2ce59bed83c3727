"""Arms x seeds x stages, with content keys: equal work is one node.

    prepare -> curriculum ┬-> train ARM/seedN -> export -> evaluate -> rescore ┬-> report
            └─────────────┴-> evaluate base --------------------> rescore ────┘

A key is the digest of stage name, stage version, identity fields (which hold the keys of the inputs) and the numeric
environment, so a change reaches exactly the stages that depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from assay.contracts.ablation import ResolvedAblation
from assay.contracts.base import Frozen, digest, identity
from assay.contracts.errors import InvariantError
from assay.contracts.reward import VerifierPart
from assay.contracts.stage import (
    CurriculumStage,
    EvaluateStage,
    ExportStage,
    PrepareStage,
    ReportStage,
    RescoreStage,
    RunRef,
    StageSpec,
    TrainStage,
)
from assay.contracts.training import TrainSpec
from assay.contracts.verifier import Verifier
from assay.plan.load import arm_train_spec
from assay.verifiers import version_of, views

KEY_DIGITS = 20


class Node(Frozen):
    """One stage of the plan."""

    name: str
    """For people and for the DAG: `train curriculum/seed0`."""
    key: str
    spec: StageSpec
    needs: tuple[str, ...]
    """Names of the nodes whose artifacts it reads."""

    @property
    def ref(self) -> str:
        """`stage/key`, as other stages refer to its artifact."""
        return f"{self.spec.stage}/{self.key}"


class Plan(Frozen):
    """All nodes in an order in which they can run; the report is the last."""

    resolved: ResolvedAblation
    nodes: tuple[Node, ...]

    def node(self, name: str) -> Node:
        """The node of a name. Raises InvariantError for a name the plan does not have."""
        found = next((node for node in self.nodes if node.name == name), None)
        if found is None:
            raise InvariantError(
                f"the plan has no stage {name!r}; it has {', '.join(node.name for node in self.nodes)}"
            )
        return found

    @property
    def report(self) -> Node:
        return self.nodes[-1]


def content_key(spec: StageSpec, environment: Mapping[str, str]) -> str:
    """Digest of everything that decides the stage's result."""
    return digest([spec.stage, spec.VERSION, identity(spec), dict(environment)])[:KEY_DIGITS]


def expand(resolved: ResolvedAblation) -> Plan:
    """The plan of an ablation."""
    return Plan(resolved=resolved, nodes=tuple(_Expander(resolved).nodes()))


def _versions(verifiers: Iterable[Verifier]) -> dict[str, int]:
    return {verifier.label: version_of(verifier) for verifier in verifiers}


def _rewarding(train: TrainSpec) -> list[Verifier]:
    """Verifiers that are parts of the reward beside the task's own."""
    return [part.verifier for part in train.reward_weights.values() if isinstance(part, VerifierPart)]


class _Expander:
    """Builds nodes; a spec whose key exists already is answered with the node that has it."""

    def __init__(self, resolved: ResolvedAblation) -> None:
        self.resolved = resolved
        self.ablation = resolved.spec
        self.tasks = tuple(use.task for use in self.ablation.tasks)
        self.by_key: dict[str, Node] = {}

    def nodes(self) -> Iterator[Node]:
        self._report(self._prepare())
        yield from self.by_key.values()

    def _add(self, name: str, spec: StageSpec, *needs: Node | None) -> Node:
        key = content_key(spec, self.resolved.environment)
        names = tuple(dict.fromkeys(need.name for need in needs if need is not None))
        return self.by_key.setdefault(key, Node(name=name, key=key, spec=spec, needs=names))

    def _common(self) -> dict[str, Any]:
        return {"model": self.ablation.model, "tasks": self.tasks}

    def _verifiers(self) -> list[Verifier]:
        return [task.verifier for task in self.tasks]

    def _views(self) -> list[Verifier]:
        return [view for verifier in self._verifiers() for view in views(verifier).values()]

    def _prepare(self) -> Node:
        spec = PrepareStage(
            model=self.ablation.model,
            tasks=self.ablation.tasks,
            data_digests=self.resolved.data_digests,
            seed=self.ablation.seed,
            temperature=self.ablation.train.temperature,
            max_dropped_share=self.ablation.max_dropped_share,
            acknowledge=self.ablation.evaluation.acknowledge,
        )
        return self._add("prepare", spec)

    def _report(self, prepare: Node) -> Node:
        curriculum = self._curriculum(prepare)
        base_evaluate = self._evaluate(prepare, None, "base")
        base_rescore = self._rescore(prepare, base_evaluate, "base")
        refs, needs = [], [prepare, curriculum, base_evaluate, base_rescore]
        for arm in self.ablation.arms:
            for seed in self.ablation.seeds:
                ref, nodes = self._run(prepare, curriculum, arm, seed)
                refs.append(ref)
                needs += nodes
        spec = ReportStage(
            ablation=self.ablation,
            prepare=prepare.ref,
            curriculum=curriculum.ref,
            base_evaluate=base_evaluate.ref,
            base_rescore=base_rescore.ref,
            runs=tuple(refs),
            declared=self.resolved.declared,
        )
        return self._add("report", spec, *needs)

    def _curriculum(self, prepare: Node) -> Node:
        spec = CurriculumStage(
            prepare=prepare.ref,
            curriculum=self.ablation.curriculum,
            verifier_versions=_versions(self._verifiers()),
            seed=self.ablation.seed,
            **self._common(),
        )
        return self._add("curriculum", spec, prepare)

    def _run(self, prepare: Node, curriculum: Node, arm: str, seed: int) -> tuple[RunRef, list[Node]]:
        label = f"{arm}/seed{seed}"
        train = self._train(prepare, curriculum, arm, seed, label)
        export_spec = ExportStage(
            train=train.ref, model=self.ablation.model, checkpoints=self.ablation.evaluation.checkpoints, label=label
        )
        export = self._add(f"export {label}", export_spec, train)
        evaluate = self._evaluate(prepare, export, label)
        rescore = self._rescore(prepare, evaluate, label)
        nodes = [train, export, evaluate, rescore]
        refs = {node.spec.stage: node.ref for node in nodes}
        return RunRef(arm=arm, seed=seed, **refs), nodes

    def _train(self, prepare: Node, curriculum: Node, arm: str, seed: int, label: str) -> Node:
        train = arm_train_spec(self.ablation, arm)
        source = curriculum if train.prompts.needs_curriculum else None
        spec = TrainStage(
            prepare=prepare.ref,
            curriculum=source.ref if source else None,
            train=train,
            verifier_versions=_versions([*self._verifiers(), *_rewarding(train)]),
            seed=seed,
            label=label,
            **self._common(),
        )
        return self._add(f"train {label}", spec, prepare, source)

    def _evaluate(self, prepare: Node, export: Node | None, label: str) -> Node:
        spec = EvaluateStage(
            prepare=prepare.ref,
            export=export.ref if export else None,
            evaluation=self.ablation.evaluation,
            seed=self.ablation.seed,
            label=label,
            **self._common(),
        )
        return self._add(f"evaluate {label}", spec, prepare, export)

    def _rescore(self, prepare: Node, evaluate: Node, label: str) -> Node:
        spec = RescoreStage(
            prepare=prepare.ref,
            evaluate=evaluate.ref,
            tasks=self.tasks,
            verifier_versions=_versions([*self._verifiers(), *self._views()]),
            acknowledge=self.ablation.evaluation.acknowledge,
            label=label,
        )
        return self._add(f"rescore {label}", spec, prepare, evaluate)
