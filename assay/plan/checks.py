"""What can be refused before anything starts: settings that contradict each other, the model, or the data.

Each check raises the error that names field, value and remedy; passing them all costs about a second.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from assay.contracts.ablation import AblationSpec
from assay.contracts.errors import DataError, ModelError, SpecError
from assay.contracts.training import TrainSpec
from assay.plan.load import arm_train_spec
from assay.tasks.ids import listed, require_known
from assay.tasks.splits import split_problems


def check_ablation(spec: AblationSpec) -> None:
    """Raises SpecError, ModelError or DataError for an ablation that cannot work."""
    _check_prompt_style(spec)
    _check_context(spec)
    for arm in spec.arms:
        _check_arm(spec, arm, arm_train_spec(spec, arm))
    _check_data(spec)


def _check_prompt_style(spec: AblationSpec) -> None:
    """A base model never saw a chat template; it answers one with garbage (F02)."""
    chat = [use.task.name for use in spec.tasks if use.task.style == "chat"]
    if spec.model.kind == "base" and chat:
        raise SpecError(
            f"task {chat[0]}: style",
            "`chat` applies a chat template, and model.kind is `base` (F02)",
            "Use `style: completion`, or name an instruct model and set model.kind: instruct",
        )


def _check_context(spec: AblationSpec) -> None:
    limit = _context_limit_tokens(Path(spec.model.path) / "config.json")
    for use in spec.tasks:
        needed = use.task.max_prompt_tokens + max(use.task.max_completion_tokens, use.task.evaluation_tokens)
        if limit is not None and needed > limit:
            raise SpecError(
                f"task {use.task.name}",
                f"max_prompt_tokens + max_completion_tokens = {needed}, the model takes {limit} tokens",
                "Lower one of the two",
            )


def _context_limit_tokens(config: Path) -> int | None:
    """None for a model of the hub, and when the config does not say."""
    if not config.is_file():
        return None
    try:
        limit: int | None = json.loads(config.read_text(encoding="utf-8")).get("max_position_embeddings")
    except (ValueError, AttributeError) as error:
        raise ModelError(str(config), f"not a JSON object ({error})", "Copy the model anew") from error
    return limit


def _check_arm(spec: AblationSpec, arm: str, train: TrainSpec) -> None:
    prompts = sum(use.train for use in spec.tasks)
    if prompts < train.prompts_per_step:
        problem = f"{train.prompts_per_step}, and the tasks give {prompts} training problems"
        raise SpecError(f"arms.{arm}: prompts_per_step", problem, "Lower it, or raise `train` of a task")
    checkpoints = -(-train.steps // train.checkpoint_every_steps)
    if checkpoints < spec.evaluation.checkpoints:
        problem = f"{train.steps} steps, one every {train.checkpoint_every_steps}, give {checkpoints} checkpoints"
        remedy = f"Lower checkpoint_every_steps; evaluation.checkpoints asks for {spec.evaluation.checkpoints}"
        raise SpecError(f"arms.{arm}: checkpoint_every_steps", problem, remedy)
    if train.updates_per_step > train.prompts_per_step:
        problem = f"{train.updates_per_step} updates share {train.prompts_per_step} prompts"
        raise SpecError(f"arms.{arm}: updates_per_step", problem, "Use at most one update per prompt")


def _check_data(spec: AblationSpec) -> None:
    """Problems suffice, ids are canonical and unique, and a curriculum names only problems that exist (F06)."""
    hub = [use for use in spec.tasks if use.task.source.kind == "hub"]
    known = {problem.id for use in spec.tasks if use not in hub for problem in split_problems(use, spec.seed).train}
    if spec.curriculum.file is not None and not hub:
        rows = curriculum_rows(Path(spec.curriculum.file))
        require_known([problem_id for problem_id, _, _ in rows], known, spec.curriculum.file)


def curriculum_rows(file: Path) -> list[tuple[str, int, int]]:
    """(id, n, c) of every row of a curriculum file.

    Raises DataError naming the line that is not `{"id", "n", "c"}`, or the ids that have more than one.
    """
    lines = enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
    rows = [_row(file, number, line) for number, line in lines if line.strip()]
    repeated = [problem_id for problem_id, times in Counter(row[0] for row in rows).items() if times > 1]
    if repeated:
        raise DataError(str(file), f"{len(repeated)} ids have several rows: {listed(repeated)}", "Keep one row of each")
    return rows


def _row(file: Path, number: int, line: str) -> tuple[str, int, int]:
    try:
        row = json.loads(line)
        sound = isinstance(row["id"], str) and 0 <= int(row["c"]) <= int(row["n"]) and int(row["n"]) >= 1
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{file}:{number}", f"not a pass rate ({error!r})", _ROW_REMEDY) from error
    if not sound:
        raise DataError(f"{file}:{number}", f"{line:.80} is not a pass rate", _ROW_REMEDY)
    return row["id"], int(row["n"]), int(row["c"])


_ROW_REMEDY = 'Write one {"id": "task/…", "n": 8, "c": 3} a line, with 0 <= c <= n and n >= 1'
