"""Stage *rescore*: the verdicts of the task's verifier and of its views on every logged sample.

base/sums/scored.parquet, step-000040/sums/scored.parquet …    the sample with its verdicts
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from assay.contracts.manifest import Finding
from assay.contracts.records import SampleRow, ScoredRow
from assay.contracts.stage import RescoreStage
from assay.evaluation.rescore import rescore
from assay.stages.judges import judge_costs
from assay.stages.prepared import prepared_digests
from assay.stages.work import Outcome, Work, entry
from assay.storage.tables import rows_from_parquet, rows_to_parquet
from assay.verifiers import VerifierPool, views

FAILED = ("error", "timeout")


def run(spec: RescoreStage, work: Work) -> Outcome:
    """Score every model's samples; refuses samples of another prompt than the one trained on (F05)."""
    evaluate = work.input(spec.evaluate)
    digests = prepared_digests(work.input(spec.prepare))
    folders = [
        info.path.removesuffix("/samples.parquet") for info in evaluate.list() if info.path.endswith("/samples.parquet")
    ]
    work.progress.begin(len(folders), "files")
    scored: list[ScoredRow] = []
    verifiers = [view for task in spec.tasks for view in views(task.verifier).values()]
    with VerifierPool(work.runtime.verifier_workers) as pool, judge_costs(verifiers) as costs:
        pool.start(verifiers)
        for folder in folders:
            samples = rows_from_parquet(evaluate.read_bytes(f"{folder}/samples.parquet"), SampleRow)
            rows = rescore(samples, {task.name: task for task in spec.tasks}, pool, digests, spec.acknowledge)
            work.artifact.write_bytes(f"{folder}/scored.parquet", rows_to_parquet(rows, ScoredRow))
            scored += rows
            work.progress.advance()
    failed = _failures(scored)
    dropped = {f"verifier_{name}": count for name, count in failed.items()}
    return Outcome({"samples": float(len(scored))} | costs, dropped, _findings(failed, len(scored), spec.label))


def _failures(scored: Sequence[ScoredRow]) -> Counter[str]:
    verdicts = (verdict for row in scored for verdict in row.views.values())
    return Counter(verdict.status for verdict in verdicts if verdict.status in FAILED)


def _findings(failed: Counter[str], samples: int, label: str) -> tuple[Finding, ...]:
    if not failed:
        return ()
    message = f"{failed.total()} verdicts on {samples} samples failed ({dict(failed)}); they are counted apart"
    return (Finding(id="F19/verifier-failed", failure="F19", severity="warning", where=label, message=message),)


main = entry(run)
