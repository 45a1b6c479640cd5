"""Ranking objectives and NDCG for weighted rows: what LightGBM computes on the whole lists.

A row of weight w counts as w rows with the same features and label. LightGBM's own objectives multiply a
row's gradient by its weight, but ignore the weights of the list's other rows (in the softmax' denominator,
and in the number of rows above it).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from funnel.compiling import compiled

#: Lower bound of 1 − p, where one row has nearly all of the softmax: keeps divisions finite.
LEAST = 1e-12


@compiled
def xe_ndcg(scores: Any, labels: Any, weights: Any, offsets: Any, gradient: Any, hessian: Any) -> None:
    """XE-NDCG (Bruch et al. 2020, algorithm 1, as LightGBM has it) into gradient and hessian: float64 [N].

    The paper and LightGBM take a number drawn from [0, 1) off each gain, anew for each tree. Here its mean is
    taken off: a row that stands for many would have one draw for all of them. offsets: int64 [L + 1].
    """
    for number in range(len(offsets) - 1):
        start, stop = offsets[number], offsets[number + 1]
        if stop - start < 2:  # no order to learn, and a share of all
            gradient[start:stop], hessian[start:stop] = 0.0, 0.0
            continue
        top = -np.inf
        for row in range(start, stop):
            top = max(top, scores[row])
        mass, gains = 0.0, 0.0
        for row in range(start, stop):
            hessian[row] = np.exp(scores[row] - top)
            mass += weights[row] * hessian[row]
            gains += weights[row] * (2.0 ** labels[row] - 0.5)
        first, second = 0.0, 0.0
        for row in range(start, stop):
            hessian[row] /= mass  # from here on the row's share of the softmax
            gradient[row] = hessian[row] - (2.0 ** labels[row] - 0.5) / gains
            first += weights[row] * gradient[row] / max(LEAST, 1 - hessian[row])
        for row in range(start, stop):
            share = hessian[row]
            term = share * (first - gradient[row] / max(LEAST, 1 - share))
            second += weights[row] * term / max(LEAST, 1 - share)
        for row in range(start, stop):
            share = hessian[row]
            term = share * (first - gradient[row] / max(LEAST, 1 - share))
            gradient[row] = weights[row] * (
                gradient[row] + term + share * (second - term / max(LEAST, 1 - share))
            )
            hessian[row] = weights[row] * share * (1 - share)


@compiled
def lambdarank(
    scores: Any, labels: Any, weights: Any, offsets: Any, truncation: Any, gradient: Any, hessian: Any
) -> None:
    """lambdarank (Burges 2010, normalised as LightGBM does) into gradient and hessian: float64 [N].

    A row's rank is the number of rows above it. Pairs count where one of the two ranks is below `truncation`.
    """
    gradient[:] = 0.0
    hessian[:] = 0.0
    for number in range(len(offsets) - 1):
        start, stop = offsets[number], offsets[number + 1]
        if start == stop:
            continue
        order = start + np.argsort(-scores[start:stop], kind="mergesort")
        rank, above = np.empty(stop - start), 0.0
        for row in order:
            rank[row - start] = above
            above += weights[row]
        differ = scores[order[0]] != scores[order[-1]]
        best = _ideal(labels[start:stop], weights[start:stop], truncation)
        total = 0.0
        for high in range(start, stop):
            if labels[high] <= 0:
                continue
            for low in range(start, stop):
                at, below = rank[high - start], rank[low - start]
                if labels[low] >= labels[high] or min(at, below) >= truncation:
                    continue
                gap = scores[high] - scores[low]
                gain = 2.0 ** labels[high] - 2.0 ** labels[low]
                change = gain * abs(1 / np.log2(2 + at) - 1 / np.log2(2 + below)) / best
                if differ:
                    change /= 0.01 + abs(gap)
                change *= weights[high] * weights[low]
                chance = 1 / (1 + np.exp(gap))
                gradient[high] -= chance * change
                gradient[low] += chance * change
                hessian[high] += chance * (1 - chance) * change
                hessian[low] += chance * (1 - chance) * change
                total += 2 * chance * change
        if total > 0:
            for row in range(start, stop):
                gradient[row] *= np.log2(1 + total) / total
                hessian[row] *= np.log2(1 + total) / total


@compiled
def ndcg(scores: Any, labels: Any, weights: Any, offsets: Any, importance: Any, k: Any) -> Any:
    """The mean NDCG@k by importance, gain 2^label − 1; 1 for a list without a positive. Equal scores keep
    their order. importance: [L]."""
    total, lists = 0.0, 0.0
    for number in range(len(offsets) - 1):
        start, stop = offsets[number], offsets[number + 1]
        best, reached = _ideal(labels[start:stop], weights[start:stop], k), 0.0
        lists += importance[number]
        if best == 0:
            total += importance[number]
            continue
        for row in range(start, stop):
            if labels[row] <= 0:
                continue
            above = 0.0
            for other in range(start, stop):
                ahead = scores[other] > scores[row] or (scores[other] == scores[row] and other < row)
                above += weights[other] if ahead else 0.0
            if above < k:
                reached += (2.0 ** labels[row] - 1) / np.log2(2 + above)
        total += importance[number] * (reached / best)
    return total / lists if lists > 0 else 0.0


@compiled(inner=True)
def _ideal(labels: Any, weights: Any, k: Any) -> Any:
    """The DCG@k of the best order; rows with a label above zero weigh 1."""
    best, rank = 0.0, 0.0
    for row in np.argsort(-labels, kind="mergesort"):
        if labels[row] <= 0 or rank >= k:
            break
        best += (2.0 ** labels[row] - 1) / np.log2(2 + rank)
        rank += weights[row]
    return best
