"""What another policy would have earned, from a log of lists whose chances are known.

    estimates = funnel.off_policy.estimate(DrawnLists(rewards, logged, judged), ["snips", "rips"])

See docs/off-policy.md for which estimator holds under what.
"""

from funnel.off_policy.estimates import Estimate
from funnel.off_policy.estimators import ESTIMATORS, estimate
from funnel.off_policy.lists import DrawnLists, Predicted

__all__ = ["ESTIMATORS", "DrawnLists", "Estimate", "Predicted", "estimate"]
