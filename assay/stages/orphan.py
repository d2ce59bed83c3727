"""A stage must not outlive the `assay run` that started it: a killed run would leave it writing beside the next one.

`assay run` names its process in ASSAY_RUN_PID; the stage looks for it twice a second. In a container nobody sets it.
"""

from __future__ import annotations

import os
import threading
import time

RUN_PID = "ASSAY_RUN_PID"
_PERIOD_S = 0.5
_EXIT_CODE = 75


def end_with_run() -> None:
    """Start watching, if there is a run to watch."""
    pid = os.environ.get(RUN_PID)
    if pid:
        threading.Thread(target=_watch, args=(int(pid),), daemon=True).start()


def _watch(pid: int) -> None:
    while _alive(pid):
        time.sleep(_PERIOD_S)
    os._exit(_EXIT_CODE)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, PermissionError):  # gone, or its number is somebody else's now
        return False
    return True
