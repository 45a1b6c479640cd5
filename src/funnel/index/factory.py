"""FAISS's own structures, built the same way every time."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import faiss
import numpy as np

from funnel.errors import ConfigError
from funnel.index.parameters import layers, lists, omp_threads
from funnel.vectors import ItemVectors

#: Vectors that k-means sees for each centroid. FAISS's own limit is 256; a quarter of it finds lists that are
#: as good and takes a quarter of the time.
_POINTS = 64

#: Vectors that a sampled training sees at least; more where k-means sees more.
_TAUGHT = 1 << 18

#: Vectors that are decoded and added together: what FAISS itself takes at a time.
_ADDED = 65_536


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


def trained(spec: str, vectors: ItemVectors, seed: int, threads: int, *, sampled: bool = False) -> Any:
    """The FAISS index of a factory string, trained on finite vectors [n, d] and empty.

    sampled: on a part of them by the seed, which is large enough; all of them where they are no more.
    Raises: ConfigError when FAISS knows no such index, when it is not one for inner products, or when it does
    not fit the vectors: too few to train it, a dimension that its codes do not divide.
    """
    with _refusals(spec, vectors.shape):
        index = empty(spec, vectors.shape[1])
        _seeded(index, seed)
        most = max(_TAUGHT, _POINTS * lists(index)) if sampled else len(vectors)
        with omp_threads(1 if depends_on_threads(spec, index) else threads):
            index.train(vectors[_sample(len(vectors), most, seed)])
    return index


def filled(index: Any, spec: str, vectors: ItemVectors, threads: int) -> Any:
    """The index with the vectors added, in their order. Raises: ConfigError as `trained`."""
    with _refusals(spec, vectors.shape), omp_threads(1 if depends_on_threads(spec, index) else threads):
        if vectors.form == "float32" or not isinstance(list(layers(index))[-1], faiss.IndexIVF):
            index.add(np.asarray(vectors))
        else:
            for at in range(0, len(vectors), _ADDED):
                index.add(vectors[at : at + _ADDED])
    return index


def trained_index(spec: str, vectors: ItemVectors, seed: int, threads: int) -> Any:
    """The FAISS index of a factory string over finite vectors [n, d], trained and filled.

    Raises: ConfigError as `trained`.
    """
    sampled = vectors.form != "float32"  # all of them would be decoded at once
    return filled(trained(spec, vectors, seed, threads, sampled=sampled), spec, vectors, threads)


def _sample(n: int, most: int, seed: int) -> Any:
    """Rows that are drawn, rising; all of them where there are no more."""
    return slice(None) if n <= most else np.sort(np.random.default_rng(seed).choice(n, most, replace=False))


@contextmanager
def _refusals(spec: str, shape: tuple[int, int]) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        raise ConfigError(
            f"index.spec is {spec!r} for {shape[0]} vectors of dimension {shape[1]}: {_reason(error)}"
        ) from error


def depends_on_threads(spec: str, index: Any) -> bool:
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
