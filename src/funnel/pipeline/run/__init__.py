"""The nightly run: steps from raw events to the published bundle, each run again only if its inputs changed.

outcome = run(config, Store("indexes"), Store("embeddings"))
"""

from funnel.pipeline.run.runner import Outcome, plan, run
from funnel.pipeline.run.steps import STEPS

__all__ = ["STEPS", "Outcome", "plan", "run"]
