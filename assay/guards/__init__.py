"""Rules that notice what goes wrong, before (preflight), during (rules) and after (health) training.

All of it is arithmetic over data handed in: no model, no GPU, no clock. A finding names the known failure it points at.
"""

from assay.guards.findings import acknowledged, require_passed
from assay.guards.health import format_drift, training_health
from assay.guards.rules import Guards, Outcome
from assay.guards.run_record import RunRecord

__all__ = [
    "Guards",
    "Outcome",
    "RunRecord",
    "acknowledged",
    "format_drift",
    "require_passed",
    "training_health",
]
