"""Is it good: metrics, intervals, the per-stage report, and its table and page.

`evaluate` lets a funnel and its competitors answer the same requests and gives an `Evaluation`: a `Report`,
and what its figures are means of. `as_table` makes a report fit a terminal, `write_page` makes a page of it.
"""

from funnel.evaluation.bootstrap import Difference, interval, paired
from funnel.evaluation.chance import chance_level, random_targets
from funnel.evaluation.compare import Comparison
from funnel.evaluation.evaluation import Evaluation
from funnel.evaluation.machine import machine, versions
from funnel.evaluation.measure import evaluate
from funnel.evaluation.metrics import compute, compute_all
from funnel.evaluation.report import Report, Subject
from funnel.evaluation.rows import Latency, Row, Value
from funnel.evaluation.table import as_table
from funnel.evaluation.walk import Recommend

__all__ = [
    "Comparison",
    "Difference",
    "Evaluation",
    "Latency",
    "Recommend",
    "Report",
    "Row",
    "Subject",
    "Value",
    "as_table",
    "chance_level",
    "compute",
    "compute_all",
    "evaluate",
    "interval",
    "machine",
    "paired",
    "random_targets",
    "versions",
]
