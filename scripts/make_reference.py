"""Writes the pages of docs/reference that are read off the code: files' keys from the contracts, commands from typer.

    python scripts/make_reference.py        (or: make reference)

The text is the code's own: field docstrings, ranges, defaults, commands' help, exit codes of the error tree. A test
fails when a committed page differs from what this script would write.
"""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from assay.cli.main import app
from assay.cli.run import STOPPED_EXIT_CODE
from assay.cli.task import origin
from assay.contracts import (
    ablation,
    launch,
    nightly,
    objective,
    profile,
    reward,
    sampling,
    scale,
    stage,
    summary,
    task,
    tracker,
    training,
    verifier,
)
from assay.contracts.base import NOT_IDENTITY, Frozen
from assay.contracts.errors import AssayError
from assay.tasks import load_task

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "reference"
NOTE = "<!-- Written by scripts/make_reference.py from the code. Change the docstrings there, then: make reference -->"
TASK_FILES = FOLDER.parents[1] / "configs" / "tasks"
Section = tuple[str, type[Frozen]]

ABLATION_HEAD = """# The ablation file

What `assay run` is given: a model, tasks, arms and seeds ([example](../../configs/ablations/quickstart.yaml)). Unknown
keys are errors. Paths are relative to the file. On the command line, `key.path=value` after the file changes a setting,
for instance `train.steps=20` or `tasks.0.heldout=512`.

An entry of `tasks` names a [task file](task-file.md) with `use:`; under `task:` it may change that task's fields.
An arm lists only the settings of `train` that it changes; mappings are merged key by key.
Where a key says *not identity*, changing it alone makes no stage run again."""

PROFILE_HEAD = """# The profile file

What `--profile` is given: where and how stages run ([this machine](../../configs/clusters/local.yaml),
[its containers](../../configs/clusters/docker.yaml), [a cluster](../../configs/clusters/kubeflow.yaml)). Nothing in it
is identity: another profile gives the same keys. Quantities are written as Kubernetes writes them: `500m`, `64Gi`.
Roles are `cpu` (prepare, export, rescore, report), `infer` (curriculum, evaluate) and `train`. `launch` is filled in
from `cluster.training`."""

TASK_HEAD = """# The task file

A task says where problems come from, how a prompt is written, when a completion ends and who judges it
([examples](../../configs/tasks)). Sampling, training and evaluation all use this one definition."""

TASKS_HEAD = """# The tasks

Every file in [configs/tasks](../../configs/tasks); [how to add one](../how-to/new-task.md). Where `lm_eval` names a
task, the prompt is that task's, byte for byte, at the number of examples given; for the others
`assay task lm-eval NAME` writes a task file that lm_eval runs. Tokens are the budget of a completion
in training, and after a slash in evaluation where it differs. Data that is not in a file named by `ASSAY_DATA` comes
from the Hugging Face hub, at a commit where the file names one; where it names a branch, preflight warns and gives the
digest of the day's rows. `assay task show NAME` lets a task grade its own gold answers; those it cannot grade are named
in its file under `known_bad`, with the reason."""

SUMMARY_HEAD = """# summary.json

The machine-readable result that `assay run` writes beside the report. Accuracies and differences are fractions, never
percent; intervals are 95 %. `schema` is the version of this layout. There is never a NaN: what could not be measured is
absent. Metrics of an arm are `pass@1`, `pass@2`, `pass@4` … (unbiased), `greedy`, `greedy_strict` and other
readings of a task's answers, `truncated`; [metrics](metrics.md) says what each is."""

NIGHTLY_HEAD = """# The nightly file

A list of ablations that runs on a schedule ([example](../../configs/nightly/quickstart.yaml),
[how to](../how-to/run-nightly.md)). Unknown keys are errors. Paths are relative to the file."""

NIGHT_HEAD = """# night.json

What is kept of a night, in `nights/{nightly}/{night}/` of the store, after the artifacts it tells of are gone. It is
written last: a folder without it is no night. Beside it lie a table of every question's result for each ablation
([its columns](../how-to/run-nightly.md#read-what-was-kept)) and the page. Accuracies and differences are fractions,
never percent; intervals are 95 %."""

CLI_HEAD = """# The command line

Messages and progress go to standard error; standard output carries results alone. `ASSAY_DEBUG=1` raises errors with
their traceback instead of printing the message."""


def _kind(model: type[Frozen]) -> str:
    return str(typing.get_args(model.model_fields["kind"].annotation)[0])


def _of_kinds(what: str, union: Any) -> list[Section]:
    return [(f"{what} of kind {_kind(model)}", model) for model in typing.get_args(union)]


ABLATION: tuple[Section, ...] = (
    ("Top level", ablation.AblationSpec),
    ("model", ablation.ModelSpec),
    ("tasks", ablation.TaskUse),
    ("curriculum", ablation.CurriculumSpec),
    ("train", training.TrainSpec),
    ("train.prompts", training.PromptSpec),
    ("train.prompts.until_mixed", training.ChunkSpec),
    ("train.loss", objective.LossSpec),
    ("train.loss.critic", objective.CriticSpec),
    ("train.mismatch", objective.MismatchSpec),
    ("train.kl", objective.KLSpec),
    ("train.optimizer", training.OptimizerSpec),
    ("train.rollout", training.RolloutSpec),
    ("train.engine", training.EngineSpec),
    ("train.engine.lora", training.LoRASpec),
    ("train.guards", training.GuardRule),
    ("evaluation", ablation.EvaluationSpec),
    *_of_kinds("reward", reward.RewardPart),
    ("gate", reward.Gate),
)
PROFILE: tuple[Section, ...] = (
    ("Top level", profile.Profile),
    ("runtime", stage.Runtime),
    ("runtime.vllm", sampling.VllmSettings),
    ("runtime.scale", scale.Scale),
    ("cluster", profile.ClusterSpec),
    ("pods", profile.PodSpec),
    ("tolerations", profile.Toleration),
    ("secrets", profile.SecretEnv),
    ("model_cache", profile.ModelCache),
    ("training", profile.TrainingSpec),
    ("fan_out", profile.FanOut),
    ("launch of kind inline", launch.Inline),
    ("launch of kind torchrun", launch.Torchrun),
    ("launch of kind trainjob", launch.TrainJob),
    ("A variable of a launch", launch.SecretVariable),
    ("tracker of kind wandb", tracker.WandbTracker),
    ("tracker of kind mlflow", tracker.MlflowTracker),
)
TASK: tuple[Section, ...] = (
    ("Top level", task.TaskSpec),
    ("source of kind arithmetic", task.ArithmeticSource),
    ("source of kind reasoning_gym", task.ReasoningGymSource),
    ("source of kind file", task.FileSource),
    ("source of kind hub", task.HubSource),
    ("choices", task.Choices),
    ("digest", task.Digests),
    ("few_shot", task.FewShot),
    ("examples", task.Shot),
    *_of_kinds("verifier", verifier.Verifier),
)
SUMMARY: tuple[Section, ...] = (
    ("Top level", summary.Summary),
    ("arms and pooled", summary.ArmSummary),
    ("metrics", summary.Metric),
    ("delta_vs_base", summary.Delta),
    ("comparisons", summary.Comparison),
    ("stages", summary.StageSummary),
)

NIGHTLY: tuple[Section, ...] = (("Top level", nightly.NightlySpec), ("alerts", nightly.AlertRules))
NIGHT: tuple[Section, ...] = (
    ("Top level", nightly.Night),
    ("ablations", nightly.NightAblation),
    ("models", nightly.NightModel),
    ("runs", nightly.NightRun),
    ("change", nightly.Change),
    ("delta", summary.Delta),
    ("An alert", nightly.Alert),
)


def main() -> None:
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
        print(FOLDER / name)


def pages() -> dict[str, str]:
    """File name -> content of every generated page."""
    return {
        "ablation-file.md": _page(ABLATION_HEAD, [*_sections(ABLATION), _default_guards()]),
        "profile-file.md": _page(PROFILE_HEAD, _sections(PROFILE)),
        "tasks.md": _page(TASKS_HEAD, [_tasks()]),
        "task-file.md": _page(TASK_HEAD, _sections(TASK)),
        "summary-json.md": _page(SUMMARY_HEAD, _sections(SUMMARY)),
        "nightly-file.md": _page(NIGHTLY_HEAD, _sections(NIGHTLY)),
        "night-json.md": _page(NIGHT_HEAD, _sections(NIGHT)),
        "cli.md": _page(CLI_HEAD, [*_commands(), _exit_codes()]),
    }


def _page(head: str, sections: Iterable[str]) -> str:
    return "\n\n".join([NOTE, head, *sections]) + "\n"


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(_line(cells) for cells in (header, ["---"] * len(header), *rows))


def _line(cells: Sequence[str]) -> str:
    escaped = [cell.replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(escaped)} |"


def _sections(sections: Sequence[Section]) -> Iterator[str]:
    """A heading, the model's docstring and a table of its keys, for every model."""
    anchors = {model: title for title, model in sections}
    for title, model in sections:
        shown = f"`{title}`" if title == title.lower() and " " not in title else title
        rows = [_row(name, field, anchors) for name, field in model.model_fields.items()]
        yield f"## {shown}\n\n{_prose(model.__doc__)}\n\n{_table(('key', 'value', 'default', 'meaning'), rows)}"


def _row(name: str, field: FieldInfo, anchors: dict[type[Frozen], str]) -> tuple[str, str, str, str]:
    key = "schema" if name == "schema_version" else name
    value = ", ".join([_value(field.annotation, anchors), *_limits(field)])
    identity = " *Not identity.*" if NOT_IDENTITY in field.metadata else ""
    return f"`{key}`", value, _default(field), _prose(field.description) + identity


def _value(hint: Any, anchors: dict[type[Frozen], str]) -> str:
    """A type in words."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Annotated:
        return _value(inner[0], anchors)
    if origin is Literal:
        return " or ".join(f"`{choice}`" for choice in inner)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_value(option, anchors) for option in inner)
    if origin is dict:
        return f"mapping of {_value(inner[0], anchors)} to {_value(inner[1], anchors)}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"[{', '.join(_value(item, anchors) for item in inner)}]"
    if origin is tuple:
        return f"list of {_value(inner[0], anchors)}"
    if isinstance(hint, type) and issubclass(hint, Frozen):
        return _link(hint, anchors)
    return _PLAIN[hint]


_PLAIN: dict[Any, str] = {
    str: "text", int: "integer", float: "number", bool: "true or false", type(None): "`null`", Any: "any value",
}  # fmt: skip


def _link(model: type[Frozen], anchors: dict[type[Frozen], str]) -> str:
    if model in anchors:
        return f"[{anchors[model]}](#{anchors[model].lower().replace('.', '').replace(' ', '-')})"
    if model in typing.get_args(verifier.Verifier):
        return f"[{_kind(model)}](task-file.md#verifier-of-kind-{_kind(model)})"
    return "[a task](task-file.md)" if model is task.TaskSpec else f"[source](#source-of-kind-{_kind(model)})"


_SIGNS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<", "min_length": "length ≥"}


def _limits(field: FieldInfo) -> Iterator[str]:
    for limit in field.metadata:
        for name, sign in _SIGNS.items():
            if hasattr(limit, name):
                yield f"{sign} {getattr(limit, name)}"
        if getattr(limit, "pattern", None):
            yield f"matching `{limit.pattern}`"


def _default(field: FieldInfo) -> str:
    if field.default_factory is not None:
        return "[the default guards](#the-default-guards)"
    if field.default is PydanticUndefined:
        return "required"
    if isinstance(field.default, typing.get_args(verifier.Verifier)):
        return f"`{field.default.label}`"
    if isinstance(field.default, Frozen):
        return "its defaults"
    if field.default == "":
        return "empty"
    return f"`{_yaml(field.default)}`"


def _yaml(value: Any) -> str:
    """A default as the file would spell it."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(_yaml, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_yaml(item)}' for key, item in value.items())}}}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Frozen):
        return _yaml(value.model_dump(exclude_defaults=True))
    if isinstance(value, str) and "\n" in value:
        return json.dumps(value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _prose(text: str | None) -> str:
    return " ".join((text or "").split())


def _default_guards() -> str:
    rows = [
        (f"`{name}`", f"`{rule.metric}`", rule.side, f"{rule.warn:g}", f"{rule.stop:g}", str(rule.patience_steps),
         str(rule.from_step), rule.action, f"[{rule.failure}](failures.md)" if rule.failure else "")
        for name, rule in training.default_guards().items()
    ]  # fmt: skip
    header = ("name", "metric", "side", "warn", "stop", "patience, steps", "from step", "action", "failure")
    told = "A rule under `guards`, of `train` or of an arm, replaces the one of its name; the others stay."
    return f"## The default guards\n\n{told}\n\n{_table(header, rows)}"


def _tasks() -> str:
    header = ("task", "data", "licence", "examples", "verifier", "lm_eval", "tokens", "known bad")
    return _table(header, (_task_row(load_task(path)) for path in sorted(TASK_FILES.glob("*.yaml"))))


def _task_row(spec: task.TaskSpec) -> Sequence[str]:
    few, longer = spec.few_shot, spec.max_evaluation_tokens
    return (
        f"[`{spec.name}`](../../configs/tasks/{spec.name}.yaml)",
        f"[{origin(spec.source)}]({spec.card})" if spec.card else origin(spec.source),
        spec.licence,
        str(few.count or len(few.examples)) if few else "0",
        f"`{spec.verifier.label}`",
        f"`{spec.lm_eval}`" if spec.lm_eval else "",
        f"{spec.max_completion_tokens}" + (f" / {longer}" if longer else ""),
        str(len(spec.known_bad) or ""),
    )


def _leaves(group: Any, before: str = "") -> Iterator[tuple[str, Any]]:
    """Every command with its full name; a group is the commands in it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _leaves(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


def _commands() -> Iterator[str]:
    for name, command in _leaves(typer.main.get_command(app)):
        arguments = [parameter for parameter in command.params if not parameter.opts[0].startswith("-")]
        options = [parameter for parameter in command.params if parameter not in arguments]
        usage = " ".join(["assay", name, *(_metavar(argument) for argument in arguments), "[OPTIONS]"])
        rows = [(f"`{_metavar(argument)}`", _shown_default(argument), argument.help) for argument in arguments]
        rows += [(f"`{', '.join(option.opts)}`", _shown_default(option), _help(option)) for option in options]
        table = _table(("argument or option", "default", "meaning"), rows)
        told = [
            f"## assay {name}",
            f"```text\n{usage}\n```",
            command.help,
            *([command.epilog] if command.epilog else []),
        ]
        yield "\n\n".join([*told, table])


def _metavar(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    if argument.nargs == 1:
        return name
    return f"{name}..." if argument.required else f"[{name}]..."


def _shown_default(parameter: Any) -> str:
    if parameter.required:
        return "required"
    return "" if parameter.default in (None, False) else f"`{parameter.default}`"


def _help(option: Any) -> str:
    return f"{option.help} Environment: `{option.envvar}`." if option.envvar else str(option.help)


def _exit_codes() -> str:
    coded = {
        0: "Done.",
        STOPPED_EXIT_CODE: "`assay run`: all is done, and a guard stopped at least one run.",
        130: "Interrupted from the keyboard.",
        **{error.exit_code: f"`{error.__name__}`: {_prose(error.__doc__)}" for error in _coded_errors()},
    }
    return f"## Exit codes\n\n{_table(('code', 'meaning'), [(str(code), coded[code]) for code in sorted(coded)])}"


def _coded_errors() -> list[type[AssayError]]:
    """The errors that bring an exit code of their own; their subclasses share it."""
    return [AssayError, *AssayError.__subclasses__()]


if __name__ == "__main__":
    main()
