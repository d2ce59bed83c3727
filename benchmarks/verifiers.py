"""Assay's verifiers beside plain math-verify: the same labelled answer pairs, one after the other, in the same run.

    python benchmarks/verifiers.py --pairs ../shared/data/verifier_pairs

Every grader runs in a fresh process, reads each prediction as a response (``\\boxed{…}`` for `strict`, as it is for
`symbolic`, ``$…$`` for math-verify, the form each does best with), and is warm before the clock starts. Accuracy is
agreement with the label; the false-accept rate is the share of pairs labelled different that were accepted. A grader
that does not finish a file within the limit is killed and its row says so. Figures are of one machine on one day:
compare rows, not runs.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

FILES = ("library_suites", "constructed", "model_answers", "adversarial")
FILE_LIMIT_S = 180

Grader = Callable[[str, str], bool]


@dataclass(frozen=True)
class Score:
    """One grader on one file."""

    pairs: int
    accuracy: float
    false_accept_rate: float
    items_per_s: float
    p99_ms: float
    slowest_s: float
    peak_mb: float


def assay_grader(name: str, frame: str) -> Grader:
    from assay.verifiers import VerifierPool

    pool = VerifierPool()

    def grade(pred: str, gold: str) -> bool:
        return pool.score(name, [(frame.format(pred), gold)])[0].status == "correct"  # type: ignore[arg-type]

    return grade


def math_verify_grader() -> Grader:
    from math_verify import parse, verify

    return lambda pred, gold: verify(parse(f"${gold}$"), parse(f"${pred}$"))


GRADERS: dict[str, Callable[[], Grader]] = {
    "assay strict": lambda: assay_grader("strict", "\\boxed{{{}}}"),
    "assay symbolic": lambda: assay_grader("symbolic", "{}"),
    "math-verify": math_verify_grader,
}


def measure(grader: str, path: Path) -> Score:
    """Grades a file in this process."""
    grade = GRADERS[grader]()
    grade(r"\int_0^1 x\,dx", r"\frac{1}{2}")
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    said, seconds = [], []
    for row in rows:
        started = time.perf_counter()
        said.append(grade(row["pred"], row["gold"]))
        seconds.append(time.perf_counter() - started)
    different = [yes for yes, row in zip(said, rows, strict=True) if not row["label"]]
    ordered = sorted(seconds)
    return Score(
        pairs=len(rows),
        accuracy=sum(yes == bool(row["label"]) for yes, row in zip(said, rows, strict=True)) / len(rows),
        false_accept_rate=sum(different) / max(1, len(different)),
        items_per_s=len(rows) / sum(seconds),
        p99_ms=1000 * ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))],
        slowest_s=ordered[-1],
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def in_fresh_process(grader: str, path: Path) -> Score | None:
    """None when the grader was killed at the limit or by the system."""
    command = [sys.executable, __file__, "--grader", grader, "--file", str(path)]
    try:
        done = subprocess.run(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=FILE_LIMIT_S, check=False,
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return None
    return Score(**json.loads(done.stdout)) if done.returncode == 0 else None


def cells(score: Score | None) -> list[str]:
    if score is None:
        return ["", f"not finished in {FILE_LIMIT_S} s, or killed", *[""] * 5]
    return [
        str(score.pairs),
        f"{score.accuracy:.4f}",
        f"{score.false_accept_rate:.4f}",
        f"{score.items_per_s:,.0f}",
        f"{score.p99_ms:.1f}",
        f"{score.slowest_s:.2f}",
        f"{score.peak_mb:.0f}",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    data = os.environ.get("ASSAY_DATA", "../shared/data")
    parser.add_argument("--pairs", type=Path, default=Path(data) / "verifier_pairs", help="folder of *.jsonl pairs")
    parser.add_argument("--grader", choices=GRADERS, help="measure one grader on --file and print JSON")
    parser.add_argument("--file", type=Path)
    arguments = parser.parse_args()
    if arguments.grader:
        print(json.dumps(asdict(measure(arguments.grader, arguments.file))))
        return
    table = Table("pairs of", "grader", "n", "accuracy", "false accepts", "items/s", "p99 ms", "slowest s", "peak MB")
    runs = [(file, grader) for file in FILES for grader in GRADERS]
    for file, grader in track(runs, description="grading"):
        table.add_row(file, grader, *cells(in_fresh_process(grader, arguments.pairs / f"{file}.jsonl")))
    Console(width=120).print(table)


if __name__ == "__main__":
    main()
