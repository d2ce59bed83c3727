"""`assay`: from an ablation file to a report.

Exit codes: 0 done, 2 bad input (nothing was started), 3 preflight failed, 4 an invariant broke, 5 a stage failed,
6 storage, 75 worth running again as it is. `assay run` ends with 10 when all is done but a guard stopped a run.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from assay import __version__
from assay.cli import nightly, planning, reports, run, schedule, stage, store, submit, task, verify
from assay.cli.errors import exit_with
from assay.cli.options import DEFAULT_CONFIG
from assay.contracts.errors import AssayError, InputError

app = typer.Typer(
    name="assay",
    help="RLVR ablations you can trust: from one YAML to a paired, seeded, health-checked report.",
    epilog="Start with: assay run configs/ablations/quickstart.yaml",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"assay {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """RLVR ablations you can trust: from one YAML to a paired, seeded, health-checked report."""


def _example(words: str) -> str:
    """The last line of a command's help."""
    return f"For instance: `{words}`"


app.command(epilog=_example(f"assay run {DEFAULT_CONFIG} train.steps=20"))(run.run)
app.command(epilog=_example("assay nightly configs/nightly/quickstart.yaml"))(nightly.nightly)
app.command(epilog=_example(f"assay plan {DEFAULT_CONFIG} arms.curriculum.optimizer.learning_rate=2.0e-4"))(
    planning.plan
)
app.command(epilog=_example(f"assay check {DEFAULT_CONFIG}"))(planning.check)
app.command(
    name="compile", epilog=_example(f"assay compile pipelines/math_ablation.py {DEFAULT_CONFIG} -o package.yaml")
)(planning.compile_pipeline)
app.command(epilog=_example(f"assay submit pipelines/math_ablation.py {DEFAULT_CONFIG} --follow"))(submit.submit)
app.add_typer(schedule.app, name="schedule")
app.add_typer(store.app, name="store")
app.add_typer(task.app, name="task")
app.command(epilog=_example(f"assay report {DEFAULT_CONFIG} --open"))(reports.report)
app.command(epilog=_example("assay compare runs/quickstart runs/mine"))(reports.compare)
app.command(epilog=_example(r"""echo '{"id": 1, "response": "\\boxed{12}", "gold": "12"}' | assay verify"""))(
    verify.verify
)
app.command(epilog=_example("assay stage report --ablation ablations/1f0c….json --root s3://bucket/prefix"))(
    stage.stage
)


def main() -> None:
    """Entry point of the console script."""
    try:
        app()
    except AssayError as error:
        exit_with(error)
    except OSError as error:
        if error.filename is None:
            raise
        exit_with(InputError(str(error.filename), str(error.strerror), "Check the path and its permissions"))
    except KeyboardInterrupt:
        sys.exit(130)
