"""Does a tenth of what is called one in ten happen: probabilities beside what came of the candidates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.evaluation.bootstrap import bounds, resampled_sums
from funnel.evaluation.metrics import Float64
from funnel.evaluation.rows import Value
from funnel.evaluation.scored import auc
from funnel.settings import Settings
from funnel.types import Bool

#: Bins of equal mass, as far as equal probabilities allow.
BINS = 20

#: What a logarithm takes in place of 0.
_TINY = np.finfo(np.float64).eps


class ReliabilityBin(Settings):
    """Candidates of about the same probability. predicted: its mean. happened: the share that did, with its
    interval."""

    rows: int
    predicted: float
    happened: Value


class SliceReliability(Settings):
    """A part of the candidates, by what is known before. ratio: what was predicted over what happened; 1 is
    right. None where nothing happened."""

    name: str
    rows: int
    predicted: float
    happened: float
    ratio: Value | None


class Reliability(Settings):
    """Probabilities of one head, measured on whole lists of candidates.

    head: what happens or not. method: of calibration. rows, positives: candidates, and those that happened.
    auc: over all candidates of all requests; None where all or none happened. log_loss: nats a candidate.
    normalised_entropy: log loss over that of saying the candidates' own base rate every time (He et al. 2014,
    ADKDD); below 1 is better than that. ece: expected calibration error, the mean of |predicted − happened|
    over bins of equal mass. chance_ece: what right probabilities would have on so few rows. ratio: predicted
    over happened, of all.
    """

    head: str
    method: str
    rows: int
    positives: int
    auc: float | None
    log_loss: Value
    normalised_entropy: Value
    ece: Value
    chance_ece: float
    ratio: Value
    bins: tuple[ReliabilityBin, ...]
    slices: tuple[SliceReliability, ...] = ()

    @property
    def base_rate(self) -> float:
        """The share of the candidates that happened."""
        return self.positives / self.rows

    @property
    def sentence(self) -> str:
        """The figures in a line."""
        return (
            f"p_{self.head} of {self.rows:,} candidates, {self.base_rate:.2%} of which happened: ECE "
            f"{self.ece.mean:.4f} [{self.ece.lo:.4f}, {self.ece.hi:.4f}], right probabilities would have "
            f"{self.chance_ece:.4f}; normalised entropy {self.normalised_entropy.mean:.4f}, predicted over "
            f"happened {self.ratio.mean:.3f} [{self.ratio.lo:.3f}, {self.ratio.hi:.3f}]"
            + ("" if self.auc is None else f"; AUC {self.auc:.4f}")
            + f"; {self.method}"
        )


def reliability(
    head: str,
    method: str,
    probabilities: NDArray[Any],
    labels: Bool,
    users: NDArray[Any],
    slices: Iterable[tuple[str, Bool]] = (),
    *,
    seed: int,
    resamples: int = 1000,
    level: float = 0.95,
) -> Reliability:
    """How right the probabilities of candidates are, with bootstrap intervals by user.

    probabilities: [N], within 0 and 1. labels: bool [N], what happened. users: int [N], a row's; −1 stands
    alone. slices: names of parts, and which rows are in them, bool [N].

    Raises: DataError for no row, one that is no probability, or where nothing happened.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if len(p) == 0 or not (p >= 0).all() or not (p <= 1).all():
        raise DataError("probabilities within 0 and 1 are needed, and at least one")
    if not labels.any():
        raise DataError(f"none of {len(p):,} candidates happened: nothing says how probable they were")
    draw = _Draw(_clusters(users), seed, resamples, level)
    of = _bins(p)
    return Reliability(
        head=head,
        method=method,
        rows=len(p),
        positives=int(labels.sum()),
        auc=None if labels.all() else auc(labels, p),
        chance_ece=_chance(p, of),
        **_measured(p, labels, of, draw),
        slices=tuple(_slice(name, p, labels, rows, draw) for name, rows in slices if rows.any()),
    )


@dataclass(frozen=True)
class _Draw:
    """Users drawn again and again. cluster: int64 [N], the number of each row's user, from 0."""

    cluster: NDArray[np.int64]
    seed: int
    resamples: int
    level: float

    def sums(self, table: Float64) -> Float64:
        """table: [C, M], sums of each user. Returns [1 + R, M]: over all of them, and over those drawn."""
        return np.vstack([table.sum(axis=0), resampled_sums(table, seed=self.seed, resamples=self.resamples)])

    def value(self, figures: Float64) -> Value:
        """figures: [1 + R], of all and of each resample; a resample without a figure does not count."""
        drawn = figures[1:][np.isfinite(figures[1:])]
        lo, hi = bounds(drawn, self.level) if len(drawn) else (figures[0], figures[0])
        return Value(mean=float(figures[0]), lo=float(lo), hi=float(hi))


def _clusters(users: NDArray[Any]) -> NDArray[np.int64]:
    """Numbers from 0 for what is drawn together."""
    users = np.asarray(users, dtype=np.int64)
    alone = np.where(users < 0, users.max(initial=0) + 1 + np.arange(len(users)), users)
    return np.unique(alone, return_inverse=True)[1].astype(np.int64)


def _bins(p: Float64) -> NDArray[np.int64]:
    """The number of each row's bin, from 0; equal probabilities are in one."""
    edges = np.unique(np.quantile(p, np.arange(1, BINS) / BINS))
    return np.unique(np.searchsorted(edges, p, side="left"), return_inverse=True)[1].astype(np.int64)


def _measured(p: Float64, labels: Bool, of: NDArray[np.int64], draw: _Draw) -> dict[str, Any]:
    """All figures with an interval, from sums over the users of what each bin predicted and what happened."""
    given = np.clip(p, _TINY, 1 - _TINY)
    loss = -np.where(labels, np.log(given), np.log1p(-given))
    n, n_bins = int(draw.cluster.max()) + 1, int(of.max()) + 1
    tables = [_by_user(draw.cluster * n_bins + of, column, n, n_bins) for column in (p, labels, None)]
    drawn = draw.sums(np.hstack([*tables, _by_user(draw.cluster, loss, n, 1)]))
    predicted, happened, rows = np.split(drawn[:, :-1], 3, axis=1)
    figures = _figures(predicted, happened, rows, drawn[:, -1])
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (happened / rows).T
    bins = [
        ReliabilityBin(rows=int(m), predicted=float(total / m), happened=draw.value(share))
        for m, total, share in zip(rows[0], predicted[0], shares, strict=True)
    ]
    return {name: draw.value(each) for name, each in figures.items()} | {"bins": tuple(bins)}


def _by_user(cell: NDArray[np.int64], weights: NDArray[Any] | None, users: int, columns: int) -> Float64:
    """Sums of the rows of each cell, as a table of users and columns; their number without weights."""
    sums = np.bincount(cell, weights=weights, minlength=users * columns)
    return sums.reshape(users, columns).astype(np.float64)


def _figures(predicted: Float64, happened: Float64, rows: Float64, loss: Float64) -> dict[str, Float64]:
    """predicted, happened, rows: sums of each bin, [1 + R, bins]. loss: [1 + R], sums."""
    n, hits = rows.sum(axis=1), happened.sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "ece": np.abs(predicted - happened).sum(axis=1) / n,
            "log_loss": loss / n,
            "normalised_entropy": loss / n / _entropy(hits / n),
            "ratio": predicted.sum(axis=1) / hits,
        }


def _entropy(rate: Float64) -> Float64:
    """Log loss of saying the rate every time."""
    given = np.clip(rate, _TINY, 1 - _TINY)
    return -(rate * np.log(given) + (1 - rate) * np.log1p(-given))


def _chance(p: Float64, of: NDArray[np.int64]) -> float:
    """The expected ECE of right probabilities: the mean of |N(0, σ²)| is σ √(2/π) (the central limit)."""
    variance = np.bincount(of, weights=p * (1 - p))
    return float(np.sqrt(2 / np.pi * variance).sum() / len(p))


def _slice(name: str, p: Float64, labels: Bool, inside: Bool, draw: _Draw) -> SliceReliability:
    p, labels, cluster = p[inside], labels[inside], _clusters(draw.cluster[inside])
    n = int(cluster.max()) + 1
    drawn = draw.sums(np.hstack([_by_user(cluster, column, n, 1) for column in (p, labels)]))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = draw.value(drawn[:, 0] / drawn[:, 1]) if labels.any() else None
    return SliceReliability(
        name=name, rows=len(p), predicted=float(p.mean()), happened=float(labels.mean()), ratio=ratio
    )
