"""What the command line prints: answers, bundles and figures as rich tables."""

from funnel.show.experimenting import experiments, judgement
from funnel.show.gating import difference, verdict
from funnel.show.measuring import bench, frontier, profile, report
from funnel.show.monitoring import alarms, replayed
from funnel.show.recommending import answer, explanation, values
from funnel.show.replaying import replay
from funnel.show.storing import bundles, importance, manifest, published

__all__ = [
    "alarms",
    "answer",
    "bench",
    "bundles",
    "difference",
    "experiments",
    "explanation",
    "frontier",
    "importance",
    "judgement",
    "manifest",
    "profile",
    "published",
    "replay",
    "replayed",
    "report",
    "values",
    "verdict",
]
