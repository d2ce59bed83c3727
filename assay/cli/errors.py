"""Errors as a person sees them: one clear message on standard error, an exit code that means something."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

from rich.console import Console

from assay.contracts.errors import AssayError

console = Console(stderr=True, highlight=False)


def exit_with(error: AssayError) -> NoReturn:
    """Print the message and leave with the error's exit code. ASSAY_DEBUG=1 raises instead, for the traceback."""
    if os.environ.get("ASSAY_DEBUG"):
        raise error
    console.print("error:", style="bold red", end=" ")
    console.print(str(error), markup=False, soft_wrap=True)
    sys.exit(error.exit_code)
