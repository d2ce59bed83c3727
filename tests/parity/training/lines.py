"""TRL's own lines out of the middle of a long method, run as they stand."""

from __future__ import annotations

import ast
import inspect
import sys
import textwrap
from collections.abc import Callable, Sequence
from typing import Any

Statement = Callable[[str], bool]
"""Whether a statement, in words, is the one that is meant."""


def block(method: Any, first: Statement, last: Statement | None = None) -> list[ast.stmt]:
    """The one statement that `first` knows, wherever it is nested; or that of a body and all up to `last`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(method)))
    bodies = [node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list)]
    body, start = next((body, i) for body in bodies for i, line in enumerate(body) if first(ast.unparse(line)))
    end = start if last is None else next(i for i in range(start, len(body)) if last(ast.unparse(body[i])))
    return list(body[start : end + 1])


def run(method: Any, lines: Sequence[ast.stmt], **names: Any) -> dict[str, Any]:
    """What the names stand for after the lines of a method have run in its module."""
    found = {**vars(sys.modules[method.__module__]), **names}
    exec(compile(ast.Module(list(lines), []), inspect.getsourcefile(method) or "", "exec"), found)
    return found
