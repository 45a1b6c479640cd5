"""Is it good: metrics, intervals, the per-stage report, and its table and page.

`evaluate` lets a funnel and its competitors answer the same requests and gives a `Report`; `table` prints
it, `write_page` makes a page of it.
"""

from funnel.evaluation.bootstrap import Difference, interval, paired
from funnel.evaluation.chance import chance_level, random_targets
from funnel.evaluation.measure import evaluate
from funnel.evaluation.metrics import compute, compute_all
from funnel.evaluation.report import Report, Subject

__all__ = [
    "Difference",
    "Report",
    "Subject",
    "chance_level",
    "compute",
    "compute_all",
    "evaluate",
    "interval",
    "paired",
    "random_targets",
]
