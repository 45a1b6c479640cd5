"""Metrics of scored rows with labels, for a ranker on its own."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.errors import DataError
from funnel.evaluation.metrics import Float64, discounts, sum_by


def auc(labels: NDArray[Any], scores: NDArray[Any]) -> float:
    """The chance that a positive row scores above a negative one, ties counting half (Hanley & McNeil 1982).

    labels: [N], positive where > 0. scores: [N]. Raises DataError where one class is missing.
    """
    value = auc_by_group(labels, scores, np.array([len(np.asarray(labels))]))[0]
    if np.isnan(value):
        raise DataError("AUC needs a positive and a negative row; the labels hold only one of the two")
    return float(value)


def auc_by_group(labels: NDArray[Any], scores: NDArray[Any], sizes: NDArray[Any]) -> Float64:
    """AUC within each group of consecutive rows: float64 [G], NaN for a group of one class.

    sizes: [G], rows a group, adding up to N; a group is a request's candidates or a query's documents.
    """
    label, scores, group = _checked(labels, scores, sizes)
    positive = label > 0
    order = np.lexsort((scores, group))
    ranks = np.empty(len(scores))
    ranks[order] = _average_ranks(scores[order], group[order])
    n = len(np.asarray(sizes))
    hits = sum_by(group, positive, n)
    misses = np.asarray(sizes) - hits
    above = sum_by(group, ranks * positive, n) - hits * (hits + 1) / 2
    return np.divide(above, hits * misses, out=np.full(n, np.nan), where=hits * misses > 0)


def _average_ranks(scores: Float64, group: NDArray[np.int64]) -> Float64:
    """Ranks from 1 within each group for rows sorted by (group, score); equal scores share their mean."""
    first_of_group = np.searchsorted(group, group)
    new = np.append(True, (np.diff(scores) != 0) | (np.diff(group) != 0))[: len(scores)]
    run = np.cumsum(new) - 1
    starts = np.flatnonzero(new)
    ends = np.append(starts[1:], len(scores))
    return ((starts + ends - 1) / 2.0)[run] - first_of_group + 1.0


def log_loss(labels: NDArray[Any], probabilities: NDArray[Any]) -> float:
    """−mean log-likelihood of 0/1 labels under the probabilities, in nats; those are kept off 0 and 1."""
    label, probability, _ = _checked(labels, probabilities, np.array([len(np.asarray(labels))]))
    if len(label) == 0 or probability.min() < 0 or probability.max() > 1:
        raise DataError("log loss needs at least one row and probabilities within [0, 1]")
    tiny = np.finfo(np.float64).eps
    p = np.clip(probability, tiny, 1 - tiny)
    return float(-np.mean(np.where(label > 0, np.log(p), np.log1p(-p))))


def graded_ndcg(
    labels: NDArray[Any], scores: NDArray[Any], sizes: NDArray[Any], k: int = 10, *, empty: float = 1.0
) -> Float64:
    """NDCG@k with the gain 2^label − 1 for each query: float64 [Q] (Burges et al. 2005).

    labels: [N], grades ≥ 0. sizes: [Q], consecutive documents a query. Equal scores keep the order of the
    file. empty: the value of a query without a relevant document; LightGBM and the LETOR tables of MQ2008
    count it 1, the evaluation script of LETOR 4.0 counts it 0.
    """
    label, score, group = _checked(labels, scores, sizes)
    gain = np.exp2(label) - 1.0
    reached, ideal = (_dcg(gain[np.lexsort((-by, group))], group, sizes, k) for by in (score, gain))
    return np.divide(reached, ideal, out=np.full(len(ideal), float(empty)), where=ideal > 0)


def _dcg(gain: Float64, group: NDArray[np.int64], sizes: NDArray[Any], k: int) -> Float64:
    sizes = np.asarray(sizes)
    position = np.arange(len(gain)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    discounted = np.where(position < k, gain * discounts(k)[np.minimum(position, k - 1)], 0.0)
    return sum_by(group, discounted, len(sizes))


def _checked(
    labels: NDArray[Any], scores: NDArray[Any], sizes: NDArray[Any]
) -> tuple[Float64, Float64, NDArray[np.int64]]:
    """Labels, scores and each row's group number, or a DataError that says what does not fit."""
    label, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    if len(label) != len(score) or len(label) != np.sum(sizes):
        raise DataError(
            f"{len(label)} labels, {len(score)} scores, groups of {np.sum(sizes)} rows: not one each"
        )
    if not (np.isfinite(label).all() and np.isfinite(score).all()):
        raise DataError("labels and scores must be finite; there is a NaN or an infinite one")
    return label, score, np.repeat(np.arange(len(np.asarray(sizes))), sizes)
