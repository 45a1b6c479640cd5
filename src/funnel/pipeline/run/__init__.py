"""What a team runs every night: steps from raw events to what is served, each run again only when it must.

outcome = run(config, Store("indexes"), Store("embeddings"))
"""

from funnel.pipeline.run.runner import Outcome, plan, run
from funnel.pipeline.run.steps import STEPS

__all__ = ["STEPS", "Outcome", "plan", "run"]
