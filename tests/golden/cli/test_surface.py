"""The command line's surface, frozen: a name that scripts rely on changes on purpose or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from assay.cli.main import app

SURFACE = {
    "run": ["config", "overrides", "--root", "--out", "--profile", "--pipeline"],
    "nightly": ["config", "--root", "--out", "--profile", "--pipeline"],
    "plan": ["config", "overrides", "--root", "--profile"],
    "check": ["config", "overrides", "--root", "--profile"],
    "compile": ["pipeline", "config", "overrides", "--output", "-o", "--root", "--profile"],
    "submit": [
        "pipeline",
        "config",
        "overrides",
        "--host",
        "--namespace",
        "--experiment",
        "--run-name",
        "--profile",
        "--root",
        "--wait",
        "--follow",
        "--timeout",
    ],
    "schedule create": [
        "pipeline",
        "config",
        "overrides",
        "--cron",
        "--name",
        "--host",
        "--namespace",
        "--experiment",
        "--profile",
        "--root",
    ],
    "schedule list": ["--host", "--namespace", "--profile"],
    "schedule pause": ["name", "--host", "--namespace", "--profile"],
    "schedule resume": ["name", "--host", "--namespace", "--profile"],
    "schedule delete": ["name", "--host", "--namespace", "--profile"],
    "schedule run-now": ["name", "--host", "--namespace", "--profile"],
    "store ls": ["--root", "--stage", "--unfinished"],
    "store du": ["--root"],
    "store verify": ["refs", "--root"],
    "store gc": ["--root", "--keep-days", "--keep", "--grace-hours", "--yes"],
    "store cp": ["refs", "--to", "--root", "--alone"],
    "task list": ["--tasks"],
    "task show": ["task", "--tasks", "--count"],
    "task lm-eval": ["task", "--out", "-o", "--split", "--tasks", "--count"],
    "report": ["config", "overrides", "--root", "--out", "--profile", "--open"],
    "compare": ["first", "second"],
    "verify": [
        "files",
        "--verifier",
        "--task",
        "--tasks",
        "--output",
        "-o",
        "--field",
        "--compare",
        "--examples",
        "--workers",
        "--quiet",
        "-q",
    ],
    "stage": ["node", "--ablation", "--root", "--profile"],
}
"""Command -> names of its arguments and options."""


def leaves(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name; a group is the commands in it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def test_commands_arguments_and_options_are_these() -> None:
    commands = dict(leaves(typer.main.get_command(app)))
    found = {name: [opt for param in command.params for opt in param.opts] for name, command in commands.items()}
    assert {name: sorted(opts) for name, opts in found.items()} == {
        name: sorted(opts) for name, opts in SURFACE.items()
    }
