"""Steps from a config to a bundle: read, split, train the towers, index, train the ranker, evaluate, write.

prepared = prepare(config)
towers = train_towers(prepared, Store("embeddings"))
built = build(prepared, towers, Store("indexes"))
"""

from funnel.pipeline.build import Built, build
from funnel.pipeline.checks import check
from funnel.pipeline.prepare import Prepared, prepare
from funnel.pipeline.report import evaluate, evaluate_bundle, ranker_is_better, report_on, write_report
from funnel.pipeline.train import train_towers

__all__ = [
    "Built",
    "Prepared",
    "build",
    "check",
    "evaluate",
    "evaluate_bundle",
    "prepare",
    "ranker_is_better",
    "report_on",
    "train_towers",
    "write_report",
]
