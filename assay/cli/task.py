"""`assay task`: what tasks there are, what a model is asked and who grades it, and task files for lm_eval."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.judging import TASKS_FOLDER, find_task, tasks_of
from assay.cli.tables import print_table
from assay.contracts.errors import DataError, InputError
from assay.contracts.records import Problem, PromptRow
from assay.contracts.task import ArithmeticSource, FileSource, HubSource, ReasoningGymSource, Source, TaskSpec
from assay.tasks import load_problems, render
from assay.tasks.shots import Shots, shots_of
from assay.tasks.sources import Pool, read_table
from assay.verifiers import check_gold, verify
from assay.verifiers.registry import kind_of

MOST_SHOWN = 5
"""Refused gold answers that `show` spells out."""

app = typer.Typer(
    help="See what tasks ask and how they are graded; write them for lm_eval.",
    epilog="Start with: assay task list",
    no_args_is_help=True,
)

Name = Annotated[str, typer.Argument(metavar="TASK", help="Name of a task, or a task file.")]
Folder = Annotated[Path, typer.Option(help="Folder of task files.")]
Generated = Annotated[int, typer.Option(min=1, help="Problems of a task whose problems are generated.")]


@app.command("list")
def list_tasks(tasks: Folder = TASKS_FOLDER) -> None:
    """List tasks: where the data is from, how many problems, who grades, and lm_eval's task of the same prompt.

    Problems are those of training and those held out, `all` where these are cut from one file; they are counted where
    the data is on this machine.
    """
    rows = [
        (task.name, origin(task.source), _size(task), task.verifier.label, task.lm_eval or "")
        for task in tasks_of(tasks)
    ]
    print_table(("task", "data", "problems", "verifier", "lm_eval"), rows)


@app.command()
def show(task: Name, tasks: Folder = TASKS_FOLDER, count: Generated = 256) -> None:
    """Show a task's first prompt, its gold answer, and how many gold answers its own verifier accepts.

    Gold answers that are refused, missing or left out are named. Of style `chat`, the prompt is the message, before the
    model's template is applied.
    """
    spec = find_task(task, tasks)
    pools = _pools(spec, count)
    problems = [problem for pool in pools.values() for problem in pool]
    split = next(name for name in ("heldout", "train") if pools.get(name))
    kind_of(spec.verifier).ready(spec.verifier)
    for line in (*_facts(spec), *_first(spec, pools[split][0], _shots(spec, pools)), *_golds(spec, problems)):
        typer.echo(line)


@app.command("lm-eval")
def lm_eval(
    task: Name,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for NAME.yaml and NAME.jsonl.")] = Path("lm_eval"),
    split: Annotated[str, typer.Option(help="`heldout` or `train`. Default: held-out, where the data has them.")] = "",
    tasks: Folder = TASKS_FOLDER,
    count: Generated = 256,
) -> None:
    """Write a task as a file that lm_eval runs: every prompt as it is trained on, scored as lm_eval can.

    Also for a task that lm_eval has: then the prompts are the same, and ids are Assay's. `assay verify` reads what
    lm_eval logs of it.
    """
    from assay.evaluation.tasks import EvaluationTask, write_task

    spec = find_task(task, tasks)
    rows = _prompts(spec, split, count)
    out.mkdir(parents=True, exist_ok=True)
    written = write_task(EvaluationTask(spec, rows, spec.prompt_digest()), out)
    template = " --apply_chat_template" if spec.style == "chat" else ""
    typer.echo(f"{len(rows)} problems in {written} and {written.with_suffix('.jsonl')}")
    typer.echo(f"lm_eval --model hf --model_args pretrained=… --include_path {out} --tasks {spec.name}{template}")


def origin(source: Source) -> str:
    """Where the problems come from, in a word."""
    if isinstance(source, HubSource):
        return source.name
    if isinstance(source, FileSource):
        return source.train.removeprefix("${ASSAY_DATA}/")
    return "generated" if isinstance(source, ArithmeticSource) else f"reasoning-gym {source.dataset}"


def _size(task: TaskSpec) -> str:
    source = task.source
    if isinstance(source, ArithmeticSource | ReasoningGymSource):
        return "generated"
    if isinstance(source, HubSource):
        return "hub"
    try:
        train, heldout = (len(read_table(source, split)) if getattr(source, split) else 0 for split in _SPLITS)
    except DataError:
        return "absent"
    return f"{train} + {heldout}" if heldout else f"{train} all"


_SPLITS: tuple[Pool, ...] = ("train", "heldout")


def _pools(task: TaskSpec, count: int) -> dict[str, list[Problem]]:
    """All problems by split, or the first `count` where they are generated; without those known to be bad."""
    splits = [split for split in _SPLITS if getattr(task.source, split, "generated")]
    loaded = {split: load_problems(task.source, task.name, split, count) for split in splits}
    return {split: [one for one in pool if one.id not in task.known_bad] for split, pool in loaded.items()}


def _shots(task: TaskSpec, pools: dict[str, list[Problem]]) -> Shots:
    return shots_of(task, pools["train"], pools.get("heldout"))


def _message(task: TaskSpec, problem: Problem, shots: Shots) -> str:
    """The prompt; of a chat, what the user says."""
    return render(task.model_copy(update={"style": "completion"}), problem, shots=shots)


def _prompts(task: TaskSpec, split: str, count: int) -> list[PromptRow]:
    pools = _pools(task, count)
    chosen = split or ("heldout" if "heldout" in pools else "train")
    if chosen not in pools:
        raise InputError("--split", f"task {task.name} has no {chosen!r}", f"Use {' or '.join(pools)}")
    shots = _shots(task, pools)
    return [
        PromptRow(one.id, one.task, chosen, one.question, one.gold, one.level, _message(task, one, shots), [])
        for one in pools[chosen]
        if one.gold
    ]


def _facts(task: TaskSpec) -> Iterator[str]:
    tokens = f"{task.max_completion_tokens} tokens" + (
        f", {task.evaluation_tokens} in evaluation" if task.max_evaluation_tokens else ""
    )
    yield f"{task.name}: {origin(task.source)}{f', {task.licence}' if task.licence else ''} {task.card}".rstrip()
    yield f"  verifier {task.verifier.label}; style {task.style}; {tokens}; ends at {list(task.stop) or 'nothing'}"
    if task.lm_eval:
        yield f"  the prompt is that of lm_eval's {task.lm_eval}"


def _first(task: TaskSpec, problem: Problem, shots: Shots) -> Iterator[str]:
    yield f"\nprompt of {problem.id}\n{_message(task, problem, shots)}"
    yield f"\ngold answer\n{problem.gold}"
    echo = kind_of(task.verifier).echo(task.verifier, problem.gold) if problem.gold else None
    if echo is not None:
        verdict = verify(task.verifier, echo, problem.gold)
        yield f"\nthe response {echo!r:.200} is {verdict.status}"


def _golds(task: TaskSpec, problems: list[Problem]) -> Iterator[str]:
    given = [problem for problem in problems if problem.gold]
    if not any(kind_of(task.verifier).echo(task.verifier, problem.gold) for problem in given[:1]):
        yield f"\n{len(given)} records; no response can be written from them that must be right"
    else:
        refused = set(check_gold(task.verifier, [problem.gold for problem in given]))
        wrong = [problem for problem in given if problem.gold in refused]
        yield f"\n{len(given) - len(wrong)} of {len(given)} gold answers are accepted"
        yield from (f"  refused: {problem.id}: {problem.gold!r:.100}" for problem in wrong[:MOST_SHOWN])
    yield from (f"  {problem.id} has no gold answer" for problem in problems if not problem.gold)
    yield from (f"  left out: {identity}: {reason}" for identity, reason in task.known_bad.items())
