"""What another policy would have earned, from a log of lists whose chances are known.

    estimates = funnel.off_policy.estimate(LoggedLists(rewards, logged, judged), ["snips", "rips"])

See docs/off-policy.md for which estimator holds under what.
"""

from funnel.off_policy.estimates import Estimate
from funnel.off_policy.estimators import ESTIMATORS, estimate
from funnel.off_policy.lists import LoggedLists, Predicted

__all__ = ["ESTIMATORS", "Estimate", "LoggedLists", "Predicted", "estimate"]
