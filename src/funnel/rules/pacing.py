"""Which campaigns may spend now: a budget that lasts for its day.

Probabilistic throttling after a plan of the day, as in Agarwal, Ghosh, Wei and You (Budget pacing for
targeted online advertisements at LinkedIn, KDD 2014), with a proportional controller in place of their
stepwise one: a campaign that is behind its plan takes part in every request, one that is `slack` of its
budget ahead in none, and between the two its chance falls evenly. So what is spent stays within `slack` of
the plan from above, what was missed is caught up, and nothing but the hot numbers has to be shared between
processes. Chance is a hash of the request and the campaign: the same request has the same answer.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.rules.config import BudgetRule
from funnel.rules.problem import mixed
from funnel.types import Bool, Int32

DAY = 86_400
Float64 = NDArray[np.float64]


def planned(curve: tuple[float, ...], now: int) -> float:
    """The share of a day's budget that is to be spent by a moment: 0…1, even within each part of the day."""
    weights = np.array(curve)
    sums = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    return float(np.interp(now % DAY / DAY * len(curve), np.arange(len(curve) + 1), sums))


def takes_part(
    rule: BudgetRule, now: int, key: int, campaigns: Int32, limits: Float64, spent: Float64
) -> Bool:
    """Which items may be shown: bool [n].

    campaigns: int32 [n], a number a budget, −1 for none. limits, spent: float64 [n]; an item without a limit
    (NaN) has no budget to keep to, one whose spending is not known has spent nothing, a limit of 0 or less is
    spent.
    """
    spent = np.where(np.isnan(spent), 0.0, spent)
    ahead = spent - planned(rule.curve, now) * limits
    with np.errstate(divide="ignore", invalid="ignore"):
        chance = np.clip(1 - ahead / (rule.slack * limits), 0, 1)
    drawn = np.empty(len(campaigns), dtype=np.float64)
    _drawn(campaigns, np.uint64(key & 0xFFFFFFFFFFFFFFFF), drawn)
    return np.isnan(limits) | ((spent < limits) & (drawn < chance))


@compiled
def _drawn(campaigns: Int32, key: np.uint64, out: Float64) -> None:
    """A number within 0…1 for each campaign of a request."""
    for i in range(len(campaigns)):
        bits = mixed(key ^ mixed(np.uint64(campaigns[i] + 1)))
        out[i] = (bits >> np.uint64(11)) * 2.0**-53
