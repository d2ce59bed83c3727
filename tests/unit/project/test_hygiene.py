"""What must not be in the repository."""

from __future__ import annotations

import re
from pathlib import Path

MACHINE_PATHS = re.compile(rb"/(?:work|root|home|Users)/[\w.-]")
"""Absolute paths of somebody's machine. (`/tmp` and the like are everybody's.)"""
LARGEST_BYTES = 4 * 2**20


def test_no_file_names_a_path_of_one_machine(root: Path, tracked: list[Path]) -> None:
    """A reader of the repository cannot follow it, and it says more than it should."""
    naming = [str(path.relative_to(root)) for path in tracked if MACHINE_PATHS.search(path.read_bytes())]
    assert naming == []


def test_no_file_is_larger_than_a_small_model(root: Path, tracked: list[Path]) -> None:
    """Data sets and models are fetched or made, not committed; the quickstart's own model is the one exception."""
    large = {str(path.relative_to(root)): path.stat().st_size for path in tracked}
    assert {name: size for name, size in large.items() if size > LARGEST_BYTES} == {}
