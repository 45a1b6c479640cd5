"""Which campaigns may spend now: a budget that lasts for its day.

Probabilistic throttling after a plan of the day, as in Agarwal, Ghosh, Wei and You (Budget pacing for
targeted online advertisements at LinkedIn, KDD 2014), with a proportional controller in place of their
stepwise one: a campaign that is behind its plan takes part in every request, one that is `slack` of its
budget ahead in none, and between the two its chance falls evenly. So what is spent stays within `slack` of
the plan from above, what was missed is caught up, and nothing but the hot numbers has to be shared between
processes. Chance is a hash of the request and the campaign: the same request has the same answer.
"""

from __future__ import annotations

from functools import lru_cache

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
    parts, sums = _sums(curve)
    return float(np.interp(now % DAY / DAY * len(curve), parts, sums))


@lru_cache(maxsize=64)
def _sums(curve: tuple[float, ...]) -> tuple[Float64, Float64]:
    """The parts of a day, from 0, and what is to be spent by the beginning of each."""
    weights = np.array(curve)
    sums = np.concatenate([[0.0], np.cumsum(weights)]) / weights.sum()
    return np.arange(len(curve) + 1.0), sums


def leave_out(
    rule: BudgetRule, now: int, key: int, campaigns: Int32, limits: Float64, spent: Float64, out: Bool
) -> None:
    """Mark the items that may not be shown.

    campaigns: int32 [n, W], whose first column is a number a budget, −1 for none. limits, spent: float64
    [n]; an item without a limit (NaN, infinite) has no budget to keep to, one whose spending is not known
    has spent nothing, a limit of 0 or less is spent. out: bool [n].
    """
    number = np.uint64(key & 0xFFFFFFFFFFFFFFFF)
    _leave_out(campaigns, limits, spent, planned(rule.curve, now), float(rule.slack), number, out)


@compiled
def _leave_out(
    campaigns: Int32, limits: Float64, spent: Float64, plan: float, slack: float, key: np.uint64, out: Bool
) -> None:
    for i in range(len(limits)):
        limit, paid = limits[i], 0.0 if np.isnan(spent[i]) else spent[i]
        if np.isnan(limit) or limit == np.inf:
            continue
        if not paid < limit or slack * limit == 0:
            out[i] = True
            continue
        bits = mixed(key ^ mixed(np.uint64(campaigns[i, 0] + 1)))
        drawn = (bits >> np.uint64(11)) * 2.0**-53
        # The chance is cut to 0…1, which no number drawn tells.
        if not drawn < 1 - (paid - plan * limit) / (slack * limit):
            out[i] = True
