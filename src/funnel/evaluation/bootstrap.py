"""Intervals of means over requests: percentile bootstrap, by request or by user.

Resample the requests with replacement, take the mean of each resample, and read the interval off the
quantiles of those means (Efron & Tibshirani 1993, An Introduction to the Bootstrap, ch. 13). For two systems
on the same requests the differences are resampled: the paired bootstrap that Sakai (2006, "Evaluating
evaluation metrics based on the bootstrap", SIGIR) gives for information retrieval.

Requests of one user are not independent. Where users repeat, whole users are resampled and the mean stays
one over requests (the cluster bootstrap: Davison & Hinkley 1997, §3.8; Field & Welsh 2007).

All metrics of a report share each resample, which is summed in a compiled loop; `scipy.stats.bootstrap` gives
the same bounds, a metric at a time and ten times slower. Percentile and not BCa: a mean over many bounded
values is close to symmetric, and BCa's jackknife is quadratic in their number.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.errors import DataError
from funnel.evaluation.metrics import Float64, sum_by
from funnel.settings import Settings

_BLOCK = 2**20  # drawn requests in memory at once: 8 MiB


class Difference(Settings):
    """The mean of a − b over requests, with its interval."""

    mean: float
    lo: float
    hi: float
    better: bool  #: a is better than b: the whole interval is above zero

    @property
    def worse(self) -> bool:
        """a is worse than b: the whole interval is below zero."""
        return self.hi < 0


def interval(
    values: NDArray[Any],
    clusters: NDArray[Any] | None = None,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 1000,
) -> tuple[float, float]:
    """The interval of the mean of `values` [B]: (lo, hi).

    clusters: [B], equal where requests belong together (user rows); −1 stands alone. None: all stand alone.
    Where there is one request, or one user, lo = hi = the mean.
    Raises: DataError for no values, or one that is not finite.

        lo, hi = interval(ndcg, users, seed=0)
    """
    bounds = intervals(np.asarray(values)[:, None], clusters, seed=seed, level=level, resamples=resamples)
    return float(bounds[0, 0]), float(bounds[1, 0])


def intervals(
    values: NDArray[Any],
    clusters: NDArray[Any] | None = None,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 1000,
) -> Float64:
    """`interval` of many columns at once: values [B, M] -> float64 [2, M], lo over hi."""
    values = np.asarray(values, dtype=np.float64)
    if len(values) == 0 or not np.isfinite(values).all():
        raise DataError("an interval needs at least one value, and only finite ones")
    sums = resampled_sums(_by_cluster(values, clusters), seed=seed, resamples=resamples)
    return bounds(sums[:, :-1] / sums[:, -1:], level)


def bounds(drawn: Float64, level: float) -> Float64:
    """The middle share `level` of what resamples gave, [R] or [R, M]: lo over hi."""
    tail = (1.0 - level) / 2.0
    return np.quantile(drawn, [tail, 1.0 - tail], axis=0)


def resampled_sums(table: Float64, *, seed: int, resamples: int) -> Float64:
    """Sums over as many rows as there are, drawn with replacement: table [C, M] -> [resamples, M]."""
    rng = np.random.default_rng(seed)
    block = max(1, _BLOCK // len(table))
    sizes = [min(block, resamples - start) for start in range(0, resamples, block)]
    return np.concatenate([_sums(table, rng.integers(0, len(table), (size, len(table)))) for size in sizes])


def paired(
    a: NDArray[Any],
    b: NDArray[Any],
    clusters: NDArray[Any] | None = None,
    *,
    seed: int,
    level: float = 0.95,
    resamples: int = 1000,
) -> Difference:
    """The mean of a − b with its interval. a, b: [B], one metric of two systems on the same requests.

    Raises: DataError where the lengths differ.
    """
    if len(a) != len(b):
        raise DataError(f"a paired comparison needs the same requests; there are {len(a)} and {len(b)}")
    change = np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)
    lo, hi = interval(change, clusters, seed=seed, level=level, resamples=resamples)
    return Difference(mean=float(change.mean()), lo=lo, hi=hi, better=lo > 0)


def _by_cluster(values: Float64, clusters: NDArray[Any] | None) -> Float64:
    """The sums of the values of each cluster, and its number of requests: float64 [C, M + 1]."""
    table = np.column_stack([values, np.ones(len(values))])
    if clusters is None:
        return table
    labels = np.asarray(clusters, dtype=np.int64)
    if len(labels) != len(values):
        raise DataError(f"{len(values)} values but {len(labels)} cluster numbers; one each is needed")
    labels = np.where(labels < 0, -1 - np.arange(len(labels)), labels)
    names, cluster = np.unique(labels, return_inverse=True)
    return np.column_stack([sum_by(cluster, column, len(names)) for column in table.T])


@compiled  # type: ignore[misc, unused-ignore]
def _sums(table: Float64, drawn: NDArray[Any]) -> Float64:
    """The sum of the drawn rows of each resample: drawn [R, C], table [C, M] -> [R, M]."""
    sums = np.zeros((len(drawn), table.shape[1]))
    for r in range(len(drawn)):
        for row in drawn[r]:
            for m in range(table.shape[1]):
                sums[r, m] += table[row, m]
    return sums
