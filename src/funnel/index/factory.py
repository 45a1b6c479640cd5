"""FAISS's own structures, built the same way every time."""

from __future__ import annotations

import re
from typing import Any

import faiss

from funnel.errors import ConfigError
from funnel.index.parameters import layers, omp_threads
from funnel.types import Float32

#: Vectors that k-means sees for each centroid. FAISS's own limit is 256; a quarter of it finds lists that are
#: as good and takes a quarter of the time.
_POINTS = 64


def empty(spec: str, d: int) -> Any:
    """The FAISS index of a factory string for vectors of d numbers, not trained yet.

    Raises: ConfigError when FAISS knows no such index, or when it is not one for inner products.
    """
    try:
        index = faiss.index_factory(d, spec, faiss.METRIC_INNER_PRODUCT)
    except (RuntimeError, TypeError, MemoryError) as error:  # TypeError: a text that is no UTF-8
        raise ConfigError(f"index.spec is {spec!r} for vectors of dimension {d}: {_reason(error)}") from error
    if index.metric_type != faiss.METRIC_INNER_PRODUCT:
        raise ConfigError(f"index.spec is {spec!r}, which does not search by inner product")
    return index


def trained_index(spec: str, vectors: Float32, seed: int, threads: int) -> Any:
    """The FAISS index of a factory string over finite vectors [n, d], trained and filled.

    Raises: ConfigError when FAISS knows no such index, when it is not one for inner products, or when it does
    not fit the vectors: too few to train it, a dimension that its codes do not divide.
    """
    n, d = vectors.shape
    try:
        index = empty(spec, d)
        if _depends_on_threads(spec, index):
            threads = 1
        _seeded(index, seed)
        with omp_threads(threads):
            index.train(vectors)
            index.add(vectors)
    except RuntimeError as error:
        raise ConfigError(
            f"index.spec is {spec!r} for {n} vectors of dimension {d}: {_reason(error)}"
        ) from error
    return index


def _depends_on_threads(spec: str, index: Any) -> bool:
    """Threads that link a graph race for its edges, and those that train a rotation round differently."""
    return (
        "HNSW" in spec or "NSG" in spec or any(isinstance(x, faiss.IndexPreTransform) for x in layers(index))
    )


def _seeded(index: Any, seed: int) -> None:
    """Set the seeds of all clusterings, and let small catalogues train without a complaint on stderr."""
    for layer in layers(index):
        clusterings = [layer.cp] if isinstance(layer, faiss.IndexIVF) else []
        if clusterings:
            layer.cp.max_points_per_centroid = _POINTS
        if hasattr(layer, "pq"):
            clusterings.append(layer.pq.cp)
        for clustering in clusterings:
            clustering.seed = seed % 2**31
            clustering.min_points_per_centroid = 1


def _reason(error: Exception) -> str:
    """FAISS's message without its signatures and line numbers."""
    if isinstance(error, TypeError):
        return "not a text that FAISS can read"
    text = re.sub(r"^Error in .* at [^ ]+:\d+: ", "", str(error).replace("\n", " "))
    return re.sub(r"^Error: '.*' failed: ", "", text).strip()
