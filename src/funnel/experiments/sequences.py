"""Confidence sequences: intervals that hold at all looks together, so that anybody may look at any time.

An interval of the usual kind holds at one look that was fixed before; whoever looks every day and stops when
it excludes zero is wrong far more often than its level says. The intervals here cover the truth at every
look, from the first to the last, with probability 1 - alpha, as samples grow: asymptotic confidence sequences
(Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476, equation 10; one side: appendix B.1).

The price is width: about 3 standard errors in place of 2 where the sequence is narrowest, and little more
when there is ten times more or less of the data.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from funnel.errors import FunnelError

Float64 = NDArray[np.float64]


def half_width(
    n: ArrayLike, sd: ArrayLike, *, best_at: float, alpha: float = 0.05, one_sided: bool = False
) -> Float64:
    """Half the width of a confidence sequence for a mean: the mean is within mean ± this at every n at once.

    n: observations so far, independent of each other (users, not requests), at least 1. sd: their standard
    deviation so far; shaped as n. best_at: the n at which it is to be narrowest, fixed before the first look.
    alpha: chance that the truth is ever outside. one_sided: one bound alone, mean - this or mean + this.

    Raises: FunnelError unless 0 < alpha < 1, best_at > 0 and all n > 0.

    >>> half_width([1_000, 10_000], [1.0, 1.0], best_at=10_000).round(4).tolist()
    [0.119, 0.0304]
    """
    size = np.asarray(n, dtype=np.float64)
    return multiplier(size / _positive(best_at, "best_at"), alpha=alpha, one_sided=one_sided) * (
        np.asarray(sd, dtype=np.float64) / np.sqrt(size)
    )


def multiplier(time: ArrayLike, *, alpha: float = 0.05, one_sided: bool = False) -> Float64:
    """How many standard errors a confidence sequence is wide on each side.

    time: how much of the evidence is there, as a share of that at which the sequence is narrowest: the
    variance of the sum that the estimate is made from, which is the number of observations where these are
    alike. Above 0; the share by which it was scaled must not change from look to look.
    For the others see `half_width`.
    """
    if not 0 < alpha < 1:
        raise FunnelError(f"alpha is {alpha!r}; a probability between 0 and 1 is expected, such as 0.05")
    shares = np.asarray(time, dtype=np.float64)
    if not (shares > 0).all():
        raise FunnelError("there is nothing to judge yet: every look needs at least one observation")
    # t times rho squared, with the rho that makes the sequence narrowest at a share of 1 (their B.2).
    spent = shares * narrowest(2 * alpha if one_sided else alpha)
    root = np.sqrt(spent + 1)
    odds = np.log1p(root / (2 * alpha)) if one_sided else np.log(root / alpha)
    return np.asarray(np.sqrt(2 * (spent + 1) / spent * odds))


def narrowest(alpha: float) -> float:
    """The product of observations and rho squared for which the two-sided sequence is (nearly) narrowest."""
    twice = -2 * np.log(min(alpha, 0.5))
    return float(twice + np.log(twice) + 1)


def p_value(z: ArrayLike, time: ArrayLike) -> Float64:
    """The least alpha at which the two-sided sequence with its narrowest point for alpha 0.05 excludes zero:
    an always-valid p-value. z: the estimate over its standard error; time: see `multiplier`.
    """
    spent = np.asarray(time, dtype=np.float64) * narrowest(0.05)
    exponent = np.asarray(z, dtype=np.float64) ** 2 * spent / (2 * (spent + 1))
    return np.asarray(np.minimum(1.0, np.sqrt(spent + 1) * np.exp(-exponent)))


def _positive(value: Any, name: str) -> float:
    if not (np.isfinite(value) and value > 0):
        raise FunnelError(f"{name} is {value!r}; a number above 0 is expected")
    return float(value)
