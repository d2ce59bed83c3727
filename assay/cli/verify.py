"""`assay verify`: responses in, verdicts out, a JSON object a line."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer

from assay.cli.disagreement import Disagreement
from assay.cli.errors import console
from assay.cli.judging import OF_TASK, TASKS_FOLDER, Judge, Tasks, find_task, read_verifier
from assay.cli.late_bar import Moved, followed
from assay.cli.responses import FIELDS, STDIN, Batch, Request, Source
from assay.cli.tally import Tally
from assay.contracts.errors import DataError, InputError
from assay.contracts.records import Verdict
from assay.verifiers import VerifierPool
from assay.verifiers.registry import kind_of

MOST_WORKERS = 4


def verify(
    files: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[FILE]...",
            help="JSON lines (also .gz), JSON, CSV or Parquet; `-`, the default, is standard input.",
        ),
    ] = None,
    verifier: Annotated[
        str | None,
        typer.Option(
            help="`symbolic` (default): any clear answer, as mathematics; `strict`: in a box; `flexible`: the last "
            "number; `task`: as each line's task trains; or a kind with options, for instance `choice:mode=legacy`."
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            help="Task file, or name of one: what all responses are of. It brings its verifier and stop strings."
        ),
    ] = None,
    tasks: Annotated[
        Path, typer.Option(help="Folder of task files; a line's task brings its stop strings.")
    ] = TASKS_FOLDER,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where verdicts go, instead of standard output.")
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=KEY",
            help="What the records call `response`, `gold`, `id` or `task`; `doc.answer` is inside `doc`. Repeatable.",
        ),
    ] = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="A B", help="Two verifiers: prints where they differ, with examples."),
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Examples of each difference that `--compare` shows.")] = 3,
    workers: Annotated[
        int, typer.Option(min=0, help=f"Processes for computer algebra; 0: one a core, up to {MOST_WORKERS}.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no summary.")] = False,
) -> None:
    """Judge answers: responses and gold answers in, verdicts out.

    One JSON object a line: `{"id", "task", "response", "gold"}`; `task` may be absent. One verdict a line comes out, in
    order, with the same id, a `score` from 0 to 1 and a `status`: correct, wrong, unparseable (no answer was found),
    error or timeout (the verifier failed). A line that cannot be read gets a verdict of status `error`; nothing is
    skipped. Verdicts alone go to standard output; progress and a summary go to standard error. Samples that lm_eval
    logged are read as they are; of several filters the first is, for the others hold the same responses.

        assay verify answers.jsonl -o verdicts.jsonl
        assay verify answers.jsonl --verifier strict     # a box or nothing
        assay verify answers.parquet --field response=output
        assay verify letters.jsonl --verifier choice:mode=legacy
        assay verify answers.jsonl --task gsm8k          # as that task trains
        assay verify samples_ifeval_2026.jsonl --task ifeval
        assay verify answers.jsonl --compare strict symbolic
    """
    if compare is not None and verifier is not None:
        raise InputError("--verifier", "--compare names the verifiers already", "Give one of the two")
    if not files and sys.stdin.isatty():
        raise InputError(
            "FILE", "no file is named, and nothing is piped in", "Name a file of responses, or `-` to type"
        )
    names = list(compare) if compare else [verifier or (OF_TASK if task else "symbolic")]
    known, only = Tasks(tasks), find_task(task, tasks, "--task") if task else None
    sources = [Source(name, _fields(field or []), only) for name in files or [STDIN]]
    _check_files(sources, output, tasks)
    with VerifierPool(workers or min(MOST_WORKERS, os.cpu_count() or 1)) as pool:
        option = "--compare" if compare else "--verifier"
        judges = [Judge(read_verifier(option, name), known, only, pool) for name in names]
        pool.start(own for judge in judges if (own := judge.verifier or (only and only.verifier)))
        for judge in judges:
            if judge.verifier is not None:
                kind_of(judge.verifier).ready(judge.verifier)
        batches = followed(sources, quiet or (output is None and sys.stdout.isatty()))
        if len(judges) == 2:
            _compared(batches, (judges[0], judges[1]), output, examples, len(sources) > 1)
        else:
            _judged(batches, judges[0], output, len(sources) > 1, quiet)


def _fields(given: Sequence[str]) -> dict[str, str]:
    pairs = {name: key for name, _, key in (part.partition("=") for part in given)}
    for name, key in pairs.items():
        if name not in FIELDS or not key:
            raise InputError(
                "--field", f"{name}={key}", f"Write one of {', '.join(FIELDS)}, then = and the record's key"
            )
    return {name: name for name in FIELDS} | pairs


def _check_files(sources: Sequence[Source], output: Path | None, tasks: Path) -> None:
    for source in sources:
        if source.name != STDIN and not _readable(Path(source.name)):
            remedy = "Name JSON lines, JSON, CSV or Parquet, or - for standard input"
            raise InputError(source.name, "is not a file", remedy)
        if output is not None and output.exists() and source.name != STDIN and output.samefile(source.name):
            raise InputError("--output", f"{output} is also read", "Write the verdicts to another file")
    if output is not None and not output.parent.is_dir():
        raise InputError("--output", f"there is no folder {output.parent}", "Make it first")
    if tasks != TASKS_FOLDER and not tasks.is_dir():
        raise InputError("--tasks", f"{tasks} is not a folder", "Name the folder that holds the task files")


def _readable(path: Path) -> bool:
    """A file, or a pipe that stands for one."""
    return path.exists() and not path.is_dir()


def _judged(
    batches: Iterator[tuple[Batch, Moved]], judge: Judge, output: Path | None, several: bool, quiet: bool
) -> None:
    tally = Tally()
    with _written(output) as out:
        for batch, moved in batches:
            verdicts = judge(batch.requests, _shares(batch, moved))
            tally.add(batch.requests, verdicts)
            shown = zip(batch.requests, verdicts, strict=True)
            _write(out, [_named(request, several) | _shown(verdict) for request, verdict in shown])
    if not quiet:
        for line in tally.lines(judge.label):
            console.print(line, markup=False, soft_wrap=True)
    if tally.failures and not tally.all.judged:
        request, verdict = next(iter(tally.failures.values()))
        problem = f"not one response could be judged; {request.place}: {verdict.detail}"
        raise DataError(request.file, problem, "Check the records, --field and --task")


def _compared(
    batches: Iterator[tuple[Batch, Moved]],
    judges: tuple[Judge, Judge],
    output: Path | None,
    examples: int,
    several: bool,
) -> None:
    first, second = judges
    if first.label == second.label:
        raise InputError("--compare", f"{first.label!r} is given twice", "Name two verifiers")
    found = Disagreement((first.label, second.label), examples)
    with _written(output) if output else nullcontext() as out:
        for batch, moved in batches:
            both = first(batch.requests), second(batch.requests, _shares(batch, moved))
            found.add(batch.requests, *both)
            if out is not None:
                rows = zip(batch.requests, *both, strict=True)
                shown = ((_named(r, several), _shown(a), _shown(b)) for r, a, b in rows)
                _write(out, [named | {first.label: one, second.label: other} for named, one, other in shown])
    sys.stdout.writelines(f"{line}\n" for line in found.lines())


def _shares(batch: Batch, moved: Moved) -> Callable[[int], None]:
    each_bytes = batch.size_bytes / max(1, len(batch.requests))
    return lambda done: moved(done * each_bytes)


def _named(request: Request, several: bool) -> dict[str, Any]:
    return {"id": request.id, "file": request.file} if several else {"id": request.id}


def _shown(verdict: Verdict) -> dict[str, Any]:
    parts = {"parts": verdict.parts} if verdict.parts else {}
    return {
        "score": verdict.score,
        "status": verdict.status,
        "extracted": verdict.extracted,
        "method": verdict.method,
        "detail": verdict.detail,
        "version": verdict.version,
        "seconds": round(verdict.seconds, 6),
    } | parts


def _write(out: TextIO, rows: Sequence[dict[str, Any]]) -> None:
    out.writelines(json.dumps(row, default=str) + "\n" for row in rows)
    out.flush()


@contextmanager
def _written(path: Path | None) -> Iterator[TextIO]:
    """Standard output; or a file that has its name only when it is whole."""
    if path is None:
        yield sys.stdout
        return
    unfinished = path.with_name(f"{path.name}.part")
    with unfinished.open("w", encoding="utf-8") as out:
        yield out
    unfinished.replace(path)
