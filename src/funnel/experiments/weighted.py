"""Effects where the shares of arms move: each user in a period counts by one over the chance of their arm.

The plain mean of an arm is too low where its share went by what it had earned: one that had bad luck gets few
users and no chance to make it good. Weighted by one over the share that the arm had in the period, which is
known exactly, no arm is; what was known before the period takes off noise, and periods count by the root of
the share, which keeps the variance even (Hadad, Hirshberg, Zhan, Wager and Athey, PNAS 2021). Errors are
those of users: one who is there in several periods is alike in all of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from funnel.experiments.effects import Effect
from funnel.experiments.metrics import LiveMetric
from funnel.experiments.sample_ratio import evidence
from funnel.experiments.sums import Float64, UserSums
from funnel.policies.thompson import Period


@dataclass(frozen=True)
class _Value:
    """Of one arm: the metric, how far each person moves the estimate (float64 [people]), and the sum of the
    weights that it is made of."""

    value: float
    moved: Float64
    weight: float


def weighted_effect(sums: UserSums, metric: LiveMetric, arm: int, day: int) -> Effect | None:
    """Of an arm beside the control, by its number, of all days up to one; None where either has too few
    users, or nothing varies."""
    values = [_value(sums, metric, number, day) for number in (0, arm)]
    if any(each is None for each in values):
        return None
    control, treated = (each for each in values if each is not None)
    apart = treated.moved - control.moved
    variance = float((apart**2).sum())
    for moved, other in ((control, treated), (treated, control)):
        if moved.value == 0:  # as many of the other's users would vary; see `effect`
            variance += float((other.moved**2).sum()) * (other.weight / moved.weight) ** 2
    se = float(np.sqrt(variance))
    is_ratio = all(each.value > float(np.sqrt((each.moved**2).sum())) for each in (control, treated))
    logs = treated.moved / treated.value - control.moved / control.value if is_ratio else apart * np.nan
    return Effect(
        control=np.asarray(control.value),
        treated=np.asarray(treated.value),
        difference=np.asarray(treated.value - control.value),
        se=np.asarray(se),
        relative=np.asarray(treated.value / control.value - 1 if control.value > 0 else np.nan),
        log_se=np.asarray(np.sqrt((logs**2).sum())),
        clock=np.asarray((se / (1 / control.weight + 1 / treated.weight)) ** 2),
        saved=np.asarray(0.0),
    )


def _value(sums: UserSums, metric: LiveMetric, arm: int, day: int) -> _Value | None:
    there = (sums.first_day <= day) & (sums.arm >= 0)
    if ((sums.arm == arm) & there).sum() < 2:
        return None
    columns = np.stack(sums.sums(metric, 0, day), axis=1)[there]
    mine, period, person = sums.arm[there] == arm, sums.period[there], sums.person[there]
    scores, weights = np.zeros_like(columns), np.zeros(len(columns))
    expected = np.array([0.0, float(metric.per == "user")])
    for number in np.unique(period).tolist():
        now, share = period == number, sums.shares[number][arm]
        left = np.where((mine & now)[:, None], columns - expected, 0.0)
        scores[now] = expected + left[now] / share
        weights[now] = share**0.5
        if (mine & (period <= number)).any():
            expected = columns[mine & (period <= number)].mean(axis=0)
    total = (weights[:, None] * scores).sum(axis=0)
    if total[1] <= 0:
        return None
    value = float(total[0] / total[1])
    moved = weights * (scores[:, 0] - value * scores[:, 1]) / total[1]
    return _Value(value, np.bincount(person, moved).astype(np.float64), float(weights.sum()))


def periods_of(sums: UserSums, metric: LiveMetric, day: int) -> list[Period]:
    """What each arm's users earned in each period, of all days up to one, as the next shares go by it."""
    earned, _ = sums.sums(metric, 0, day)
    periods = []
    for number, shares in enumerate(sums.shares):
        chosen = [(sums.period == number) & (sums.arm == arm) for arm in range(len(sums.arms))]
        periods.append(
            Period(
                dict(zip(sums.arms, shares, strict=True)),
                *(
                    dict(zip(sums.arms, [float(of[units].sum()) for units in chosen], strict=True))
                    for of in (np.ones_like(earned), earned, earned**2)
                ),
            )
        )
    return periods


def ratio_p_value(sums: UserSums, days: int) -> float:
    """Whether users came into the arms as the shares of each period say: an always-valid p-value, the least
    of all days. Evidence of periods is of different users' chance, so that it adds up."""
    least = 1.0
    for day in range(days):
        against = sum(
            float(evidence(sums.users(day, number), list(shares)))
            for number, shares in enumerate(sums.shares)
        )
        least = min(least, float(np.exp(min(0.0, -against))))
    return least
