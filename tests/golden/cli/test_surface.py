"""The command line's surface, frozen: a name that scripts rely on changes on purpose or not at all."""

from __future__ import annotations

import typer

from assay.cli.main import app

SURFACE = {
    "run": ["config", "overrides", "--root", "--out", "--profile", "--pipeline"],
    "plan": ["config", "overrides", "--root"],
    "check": ["config", "overrides", "--root", "--profile"],
    "compile": ["pipeline", "overrides", "--output", "-o", "--ablation", "--root", "--profile"],
    "report": ["config", "overrides", "--root", "--out", "--open"],
    "compare": ["first", "second"],
    "verify": ["--verifier", "--tasks"],
    "stage": ["node", "--ablation", "--root", "--profile"],
}
"""Command -> names of its arguments and options."""


def test_commands_arguments_and_options_are_these() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {name: [opt for param in command.params for opt in param.opts] for name, command in commands.items()}
    assert {name: sorted(opts) for name, opts in found.items()} == {
        name: sorted(opts) for name, opts in SURFACE.items()
    }
