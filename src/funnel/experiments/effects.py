"""What an arm changes, with what chance alone could do, by users and not by requests.

A user's requests are alike, so a ratio such as clicks a request has the variance of the users' sums (delta
method). CUPED takes out what was known of the users before (Deng, Xu, Kohavi and Walker, WSDM 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from funnel.errors import FunnelError
from funnel.experiments.moments import UserMoments

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class Effect:
    """A treated arm beside the control, on one metric: float64 [...] each.

    control, treated: the metric, adjusted where there is a covariate. difference: treated - control. se: its
    standard error. relative: treated / control - 1, NaN where the control has nothing; log_se: the standard
    error of the ratio's logarithm, NaN where either is within its own standard error of nothing.
    clock: variance of the sum that the estimate is made from, in which evidence is counted. saved: the share
    of the variance that the covariate took away, 0 where there is none.
    """

    control: Float64
    treated: Float64
    difference: Float64
    se: Float64
    relative: Float64
    log_se: Float64
    clock: Float64
    saved: Float64

    @property
    def z(self) -> Float64:
        """The difference in standard errors; NaN where nothing varies."""
        return np.asarray(self.difference / np.where(self.se > 0, self.se, np.nan))

    @property
    def p_value(self) -> Float64:
        """Two-sided, of one look that was fixed before."""
        return np.asarray(2 * ndtr(-np.abs(self.z)))

    def interval(self, errors: Float64 | float = 1.959963984540054) -> tuple[Float64, Float64]:
        """The difference's, so many standard errors wide on each side."""
        return self.difference - errors * self.se, self.difference + errors * self.se

    def relative_interval(self, errors: Float64 | float = 1.959963984540054) -> tuple[Float64, Float64]:
        """The relative effect's, on the scale of its logarithm. Where an arm has hardly anything, the
        difference's over the control: infinite, with the sign of the difference's bound, where that has
        nothing."""
        ratio, factor = 1 + self.relative, np.exp(errors * self.log_se)
        over = np.where(self.control > 0, self.control, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            low, high = (bound / over for bound in self.interval(errors))
        is_ratio = np.isfinite(self.log_se)
        return np.where(is_ratio, ratio / factor - 1, low), np.where(is_ratio, ratio * factor - 1, high)


def effect(control: UserMoments, treated: UserMoments, *, adjust: bool = True) -> Effect:
    """The effect of being in the treated arm.

    adjust: use the covariate (CUPED), whose coefficient is that of both arms together. Users of an arm that
    has nothing are taken to vary as the other's do: what a few of them did not do is no certainty.
    """
    total = control + treated
    theta = _coefficient(total) if adjust else np.zeros_like(total.value)
    before = np.nan_to_num(total.earlier)
    (low, low_variance, low_raw), (high, high_variance, high_raw) = (
        _adjusted(arm, theta, before) for arm in (control, treated)
    )
    nothing = control.mean[..., 0] == 0, treated.mean[..., 0] == 0
    variance, raw = (
        np.where(nothing[0], of_high, of_low) / control.n + np.where(nothing[1], of_low, of_high) / treated.n
        for of_low, of_high in ((low_variance, high_variance), (low_raw, high_raw))
    )
    weight = 1 / (1 / _total(control) + 1 / _total(treated))
    low_part, high_part = (
        np.sqrt(variance / n) / np.where(value > 0, value, np.nan)
        for value, variance, n in ((low, low_variance, control.n), (high, high_variance, treated.n))
    )
    return Effect(
        control=low,
        treated=high,
        difference=high - low,
        se=np.sqrt(variance),
        relative=high / np.where(low > 0, low, np.nan) - 1,
        log_se=np.where((low_part < 1) & (high_part < 1), np.hypot(low_part, high_part), np.nan),
        clock=variance * weight**2,
        saved=1 - variance / np.where(raw > 0, raw, np.nan),
    )


def users_needed(
    moments: UserMoments,
    relative: float,
    *,
    share: float = 0.5,
    alpha: float = 0.05,
    power: float = 0.8,
    adjust: bool = True,
) -> Float64:
    """Users of both arms together with whom a relative effect is found with this power, at the horizon.

    moments: of users as they are without the change, over a time as long as the experiment. share: of the
    treated arm. Raises: FunnelError unless the effect is not 0 and the shares are between 0 and 1.
    """
    if relative == 0 or not (0 < share < 1 and 0 < power < 1 and 0 < alpha < 1):
        raise FunnelError(
            "an effect other than 0, and a share, a power and an alpha between 0 and 1 are expected; they "
            f"are {relative}, {share}, {power} and {alpha}"
        )
    theta = _coefficient(moments) if adjust else np.zeros_like(moments.value)
    value, variance, _ = _adjusted(moments, theta, np.nan_to_num(moments.earlier))
    spread = variance * (1 / (1 - share) + 1 / share)
    return np.asarray(np.ceil(spread * (_reach(alpha, power) / (relative * value)) ** 2))


def smallest_effect(
    measured: Effect, growth: float = 1.0, *, alpha: float = 0.05, power: float = 0.8
) -> Float64:
    """The smallest relative effect that would be found with this power; growth: how many times as much data
    there will be as there is now. NaN where the control has nothing."""
    control = np.where(measured.control == 0, np.nan, np.abs(measured.control))
    return np.asarray(_reach(alpha, power) * measured.se / np.sqrt(growth) / control)


def _reach(alpha: float, power: float) -> float:
    return float(-ndtri(alpha / 2) - ndtri(1 - power))


def _coefficient(total: UserMoments) -> Float64:
    """Of the regression of a user's part in the metric on their part before."""
    now, before = total.gradient()
    variance = total.covariance(before, before)
    there = np.isfinite(variance) & (variance > 0)
    return np.where(there, total.covariance(now, before) / np.where(there, variance, 1.0), 0.0)


def _adjusted(arm: UserMoments, theta: Float64, before: Float64) -> tuple[Float64, Float64, Float64]:
    """The metric without what was there before; a user's variance of it, and of the metric as it is."""
    now, earlier = arm.gradient()
    earlier = np.nan_to_num(earlier)
    value = arm.value - theta * (np.nan_to_num(arm.earlier) - before)
    both = now - theta[..., None] * earlier
    return value, arm.covariance(both, both), arm.covariance(now, now)


def _total(arm: UserMoments) -> Float64:
    """The sum of the denominators."""
    return np.asarray(arm.n * arm.mean[..., 1])
