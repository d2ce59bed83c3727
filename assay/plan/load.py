"""Reading an ablation file: YAML, `key.path=value` overrides, task files, arms. Every mistake is one SpecError.

tasks:
  - use: ../tasks/sums.yaml      # a task file, relative to this one; replaced by its content as `task:`
    train: 480
arms:
  base settings: {}
  hot: {optimizer: {learning_rate: 1.0e-3}}     # merged over `train`
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from assay.contracts.ablation import AblationSpec
from assay.contracts.errors import ModelError, SpecError
from assay.contracts.problems import spec_error
from assay.contracts.training import TrainSpec
from assay.tasks.loading import UniqueKeys, load_task


def load_ablation(path: Path, overrides: Sequence[str] = ()) -> AblationSpec:
    """The ablation in a YAML file, with overrides applied and every referenced file found.

    Raises:
        SpecError: an unknown key, a wrong type, a value out of range, a missing file; names field, value and remedy.
        ModelError: `model.path` looks like a directory and is not a model.
    """
    content = read_mapping(path, "configs/ablations/quickstart.yaml")
    for override in overrides:
        _apply_override(content, override)
    content["tasks"] = [_with_task(use, path, index) for index, use in enumerate(_list(content, "tasks", path))]
    try:
        spec = AblationSpec.model_validate(content)
    except ValidationError as error:
        raise spec_error(str(path), error) from error
    for arm in spec.arms:
        arm_train_spec(spec, arm, where=str(path))
    return _anchored(spec, path)


def _anchored(spec: AblationSpec, path: Path) -> AblationSpec:
    """Paths of the ablation file as absolute ones, checked to exist."""
    model = spec.model.model_copy(update={"path": _model_path(spec.model.path, path)})
    if spec.curriculum.file is None:
        return spec.model_copy(update={"model": model})
    file = (path.parent / spec.curriculum.file).resolve()
    if not file.is_file():
        raise SpecError(
            f"{path}: curriculum.file", f"there is no file {file}", "Correct the path, or leave it out to sample"
        )
    curriculum = spec.curriculum.model_copy(update={"file": str(file)})
    return spec.model_copy(update={"model": model, "curriculum": curriculum})


def arm_train_spec(spec: AblationSpec, arm: str, where: str = "ablation") -> TrainSpec:
    """The training settings of one arm: its changes merged over `train`. Raises SpecError naming the arm's field."""
    merged = _merge(spec.train.model_dump(mode="json"), spec.arms[arm])
    try:
        return TrainSpec.model_validate(merged)
    except ValidationError as error:
        raise spec_error(f"{where}: arms.{arm}", error) from error


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """`changes` laid over `base`, mappings key by key."""
    merged = dict(base)
    for key, value in changes.items():
        both_mappings = isinstance(value, dict) and isinstance(base.get(key), dict)
        merged[key] = _merge(base[key], value) if both_mappings else value
    return merged


def read_mapping(path: Path, example: str) -> dict[str, Any]:
    """The keys and values of a YAML file. Raises SpecError; `example` is a file to name instead of a missing one."""
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), UniqueKeys)
    except FileNotFoundError as error:
        raise SpecError(str(path), "there is no such file", f"Name one, for instance {example}") from error
    except OSError as error:
        remedy = f"Name a file that you may read, for instance {example}"
        raise SpecError(str(path), f"cannot be read: {error.strerror}", remedy) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(str(path), f"not a YAML file: {error}", "Mend the line it names") from error
    if not isinstance(content, dict):
        raise SpecError(str(path), f"holds {type(content).__name__}, not keys and values", f"Write it like {example}")
    return content


def _apply_override(content: dict[str, Any], override: str) -> None:
    """Set `a.b.c=value` in place; the value is read as YAML."""
    path, equals, text = override.partition("=")
    if not equals or not path:
        raise SpecError(override, "not an override", "Write key.path=value, for instance train.steps=20")
    value = _override_value(override, text)
    *parents, last = path.split(".")
    place: Any = content
    for name in parents:
        place = place.setdefault(name, {}) if isinstance(place, dict) else place[_index(override, name, place)]
    if isinstance(place, list):
        place[_index(override, last, place)] = value
    elif isinstance(place, dict):
        place[last] = value
    else:
        raise SpecError(
            override, f"{'.'.join(parents)} holds {place!r}, which has no fields", "Name a field that exists"
        )


def _override_value(override: str, text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise SpecError(override, f"{text!r} is not a YAML value", "Close its brackets, or put it in quotes") from error


def _index(override: str, name: str, place: Any) -> int:
    if not isinstance(place, list) or not name.isdigit() or int(name) >= len(place):
        raise SpecError(
            override, f"there is nothing at {name!r}", "Name a field that exists, or the index of a list item"
        )
    return int(name)


def _list(content: dict[str, Any], key: str, path: Path) -> list[Any]:
    value = content.get(key)
    if not isinstance(value, list) or not value:
        raise SpecError(f"{path}: {key}", f"found {value!r}, not a list", f"Write `{key}:` and one `- use: …` a line")
    return value


def _with_task(use: Any, path: Path, index: int) -> Any:
    """A `use:` entry with the task file's content in its place."""
    if not isinstance(use, dict) or "use" not in use:
        return use
    if not isinstance(use["use"], str):
        raise SpecError(f"{path}: tasks[{index}].use", f"found {use['use']!r}", "Name a task file")
    file = Path(use["use"])
    task = load_task(file if file.is_absolute() else path.parent / file)
    changes = use.get("task", {})
    if not isinstance(changes, dict):
        raise SpecError(f"{path}: tasks[{index}].task", f"found {changes!r}", "Give the fields of the task to change")
    merged = _merge(task.model_dump(mode="json"), changes)
    return {key: value for key, value in use.items() if key != "use"} | {"task": merged}


def _model_path(declared: str, path: Path) -> str:
    """A directory beside the YAML as an absolute path; a hub id (`name` or `owner/name`) or a URI stays as it is."""
    candidate = Path(declared).expanduser()
    directory = candidate if candidate.is_absolute() else path.parent / candidate
    if directory.is_dir():
        _check_model_directory(directory, path)
        return str(directory.resolve())
    if declared.startswith((".", "/", "~")) or ("://" not in declared and declared.count("/") > 1):
        remedy = "Correct the path, or make the model first (the ablation file's head says how)"
        raise ModelError(
            f"{path}: model.path", f"{declared} is not a directory (looked at {directory.resolve()})", remedy
        )
    return declared


def _check_model_directory(directory: Path, path: Path) -> None:
    if not (directory / "config.json").is_file():
        problem = f"{directory} is not a Hugging Face model directory: it has no config.json"
        raise ModelError(f"{path}: model.path", problem, "Name a directory with config.json, tokenizer and safetensors")
    if not list(directory.glob("*.safetensors")):
        problem = f"{directory} holds no safetensors weights"
        raise ModelError(
            f"{path}: model.path", problem, "Convert the weights with save_pretrained(safe_serialization=True)"
        )
