"""What judging keeps of an arm's users: their number, means and covariances. Nothing grows with requests."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from funnel.errors import DataError

Float64 = NDArray[np.float64]


@dataclass(frozen=True)
class UserMoments:
    """Of four sums a user: numerator, denominator, and both again from before the experiment (covariate).

    n: users, [...]. mean: float64 [..., 4]. cov: float64 [..., 4, 4], with n - 1. Leading axes are
    any: looks, repeats of a simulation.
    """

    n: Float64
    mean: Float64
    cov: Float64

    @classmethod
    def of(
        cls,
        numerator: ArrayLike,
        denominator: ArrayLike | None = None,
        earlier: ArrayLike | None = None,
        earlier_denominator: ArrayLike | None = None,
    ) -> UserMoments:
        """Of sums a user, users last: [..., n] each. A metric without a denominator is a mean a user; one
        without earlier sums has no covariate.

        Raises: DataError for fewer than two users, and for sums that are not finite.
        """
        first = np.asarray(numerator, dtype=np.float64)
        given = (denominator, earlier, earlier_denominator)
        absent = (1.0, 0.0, 1.0)
        columns = [first] + [
            np.full(first.shape, default) if column is None else np.asarray(column, dtype=np.float64)
            for column, default in zip(given, absent, strict=True)
        ]
        stacked = np.stack(columns, axis=-1)
        if stacked.shape[-2] < 2:
            raise DataError(f"{stacked.shape[-2]} users in an arm: at least two are needed to judge it")
        if not np.isfinite(stacked).all():
            raise DataError("a user's sum is not a finite number")
        mean = stacked.mean(axis=-2)
        centred = stacked - mean[..., None, :]
        cov = np.einsum("...ni,...nj->...ij", centred, centred) / (stacked.shape[-2] - 1)
        return cls(np.full(mean.shape[:-1], float(stacked.shape[-2])), mean, cov)

    def __add__(self, other: UserMoments) -> UserMoments:
        """Of the users of both together."""
        n = self.n + other.n
        apart = other.mean - self.mean
        mean = self.mean + apart * (other.n / n)[..., None]
        between = apart[..., :, None] * apart[..., None, :] * (self.n * other.n / n)[..., None, None]
        within = self.cov * (self.n - 1)[..., None, None] + other.cov * (other.n - 1)[..., None, None]
        return UserMoments(n, mean, (within + between) / (n - 1)[..., None, None])

    @property
    def value(self) -> Float64:
        """The metric: the numerators' sum over the denominators'; NaN where these are zero."""
        return _over(self.mean[..., 0], self.mean[..., 1])

    @property
    def earlier(self) -> Float64:
        """The same of what was before."""
        return _over(self.mean[..., 2], self.mean[..., 3])

    def gradient(self) -> tuple[Float64, Float64]:
        """How the metric, and that of before, move with the four means: float64 [..., 4] each (delta method;
        Deng, Knoblich and Lu, KDD 2018)."""
        zero = np.zeros_like(self.value)
        now = np.stack([_over(1.0, self.mean[..., 1]), -_over(self.value, self.mean[..., 1]), zero, zero], -1)
        before = np.stack(
            [zero, zero, _over(1.0, self.mean[..., 3]), -_over(self.earlier, self.mean[..., 3])], -1
        )
        return now, before

    def covariance(self, a: Float64, b: Float64) -> Float64:
        """Of two linear functions of a user's sums: float64 [...]."""
        return np.einsum("...i,...ij,...j->...", a, self.cov, b)


def _over(a: ArrayLike, b: Float64) -> Float64:
    """a / b, NaN where b is zero."""
    return np.asarray(np.divide(a, np.where(b == 0, np.nan, b)))
