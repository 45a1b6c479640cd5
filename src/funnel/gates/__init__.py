"""Is it fit to be served: thresholds that a bundle must keep to before it is published.

verdict = publish(Store("indexes"), version)  # GateError, and no change, when a gate fails
"""

from funnel.gates.case import Case, Gate
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, Verdict
from funnel.gates.judge import judge
from funnel.gates.publish import publish, refuse_failed, serve
from funnel.gates.tables import Arrived, arrived
from funnel.gates.unjudged import publish_unjudged, rollback

__all__ = [
    "Arrived",
    "Case",
    "Finding",
    "Gate",
    "GatesConfig",
    "Verdict",
    "arrived",
    "judge",
    "publish",
    "publish_unjudged",
    "refuse_failed",
    "rollback",
    "serve",
]
