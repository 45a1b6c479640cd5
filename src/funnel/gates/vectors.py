"""Are the towers sound: vectors that are finite, of sensible length, and not all the same."""

from __future__ import annotations

import numpy as np

from funnel.bundle.contents import Contents
from funnel.evaluation.search import search_recall
from funnel.gates.config import GatesConfig
from funnel.gates.findings import Finding, at_least, at_most
from funnel.stages import Retrieve, TowerSource
from funnel.types import Float32, Requests
from funnel.vectors import ItemVectors

_SAMPLE = 100_000  # item vectors looked at
_TENFOLD = 10.0
_STILL = 1e-3  # a dimension with less than this part of the mean variance is dead


def health(contents: Contents, config: GatesConfig, seed: int) -> list[Finding]:
    """Norms, collapse and dead dimensions of the item vectors, on a seeded sample of at most 100,000."""
    vectors = _sample(contents.vectors, seed)
    finite = np.isfinite(vectors).all(axis=1)
    findings = [
        at_most("finite", 1 - float(finite.mean()), config.not_finite, "share of vectors that are not finite")
    ]
    vectors = vectors[finite]
    if len(vectors) == 0:
        return findings
    length = np.linalg.norm(vectors, axis=1)
    median = float(np.median(length))
    off = (length * _TENFOLD < median) | (length > median * _TENFOLD) | (length == 0)
    findings.append(
        at_most("norms", float(off.mean()), config.norms, "share of vectors 10 times off the median")
    )
    if len(vectors) > 1:
        findings.append(
            at_most("collapse", _similarity(vectors), config.similarity, "mean cosine of two items' vectors")
        )
        what = "share of dimensions in which they do not vary"
        findings.append(at_most("dimensions", _dead(vectors), config.dead_dimensions, what))
    return findings


def search(contents: Contents, requests: Requests, config: GatesConfig, seed: int) -> Finding:
    """How much of exact search's first k the index finds."""
    k = min(contents.rerank.k, len(contents.catalogue.ids))
    indexed = Retrieve([TowerSource(contents.queries, contents.index)], k)
    shares = search_recall(contents.exact(k), indexed, requests, [k], seed) or {}
    what = f"share of exact search's first {k} that the index finds"
    return at_least("search", shares.get(k, np.nan), config.search_recall, what)


def _sample(vectors: ItemVectors, seed: int) -> Float32:
    n = len(vectors)
    return vectors[np.sort(np.random.default_rng(seed).choice(n, min(n, _SAMPLE), replace=False))]


def _similarity(vectors: Float32) -> float:
    """The mean cosine of two different items: |sum of n unit vectors|² = n + n (n − 1) mean."""
    unit = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    n = len(unit)
    total = unit.sum(axis=0, dtype=np.float64)
    return float((total @ total - n) / (n * (n - 1)))


def _dead(vectors: Float32) -> float:
    """The share of directions, not only of axes, in which the vectors do not vary, of those that n vectors
    can span: n − 1 at most."""
    variance = np.linalg.eigvalsh(np.atleast_2d(np.cov(vectors, rowvar=False, dtype=np.float64)))
    variance = variance[-(len(vectors) - 1) :]
    return float(np.mean(variance <= _STILL * variance.mean()))
