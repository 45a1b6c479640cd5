"""Whether FAISS can build what a spec says, before there are vectors to build it of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import faiss
import numpy as np

from funnel.errors import ConfigError
from funnel.index import parameters
from funnel.index.auto import choose_spec
from funnel.index.config import IndexConfig
from funnel.index.factory import empty, trained_index
from funnel.index.shards import check_shards
from funnel.vectors import ItemVectors

#: An index that is trained with no more vectors is built of made-up ones, since FAISS says much only when it
#: is used. Codes of eight bits and more would take seconds.
_TRIED = 64

#: A graph of nearest neighbours is not begun with fewer vectors.
_GRAPH = 100


def check_spec(spec: str, d: int, params: Mapping[str, int]) -> None:
    """Whether FAISS can build such an index of vectors of d numbers, and search it by inner products.

    Raises: ConfigError when it cannot, or when the index lacks one of the search parameters.
    """
    if spec == "Flat":
        names: tuple[str, ...] = ()
    else:
        index, needed = empty(spec, d), _needed(spec, d)
        if needed <= _TRIED and not any(map(_trains_slowly, parameters.layers(index))):
            index = _tried(spec, d, max(needed, _GRAPH))
        names = parameters.names(index)
    try:
        parameters.checked(params, names, spec)
    except ConfigError as error:
        raise ConfigError(f"index.params: {error}") from error


def check_fits(config: IndexConfig, n: int, d: int) -> None:
    """The same for n vectors of d numbers, with what "auto" comes to for so many.

    Raises: ConfigError when they are fewer than the index is trained with, or than its shards.
    """
    check_shards(n, config.shards)
    spec = choose_spec(n, d) if config.spec == "auto" else config.spec
    check_spec(spec, d, config.params)
    needed = 1 if spec == "Flat" else _needed(spec, d)
    if n < needed:
        raise ConfigError(
            f"index.spec is {spec!r}, which is trained with {needed:,} vectors at least, and there are {n:,} "
            'items; take fewer lists or shorter codes, or "auto"'
        )


def _needed(spec: str, d: int) -> int:
    """How many vectors it takes to train. Raises: ConfigError."""
    index = empty(spec, d)
    if parameters.lists(index) < 1:
        raise ConfigError(f"index.spec is {spec!r}: at least one inverted list is needed")
    for layer in parameters.layers(index):
        if wide := [
            transform for transform in _transforms(layer, faiss.PCAMatrix) if transform.d_out > transform.d_in
        ]:
            raise ConfigError(
                f"index.spec is {spec!r}: {wide[0].d_out} directions of {wide[0].d_in} cannot be"
            )
    return max(_centroids(layer) for layer in parameters.layers(index))


def _tried(spec: str, d: int, n: int) -> Any:
    """The index of n vectors by chance, after a search."""
    vectors = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    index = trained_index(spec, ItemVectors.of(vectors), 0, 1)
    try:
        index.search(vectors[:1], 1)
    except RuntimeError as error:
        raise ConfigError(f"index.spec is {spec!r}, which cannot be searched: {error}") from error
    return index


def _trains_slowly(layer: Any) -> bool:
    """Rotations and sums of codes that are fitted in many rounds."""
    return bool(_transforms(layer, faiss.OPQMatrix | faiss.ITQTransform)) or any(
        hasattr(layer, name) for name in ("rq", "lsq", "prq", "plsq", "aq")
    )


def _transforms(layer: Any, kind: Any) -> list[Any]:
    if not isinstance(layer, faiss.IndexPreTransform):
        return []
    held: Any = layer.chain
    chain = [faiss.downcast_VectorTransform(held.at(number)) for number in range(held.size())]
    return [transform for transform in chain if isinstance(transform, kind)]


def _centroids(layer: Any) -> int:
    """How many centroids or axes this layer is trained to find, which takes as many vectors."""
    if turned := _transforms(layer, faiss.PCAMatrix):
        return max(int(transform.d_out) for transform in turned)
    if isinstance(layer, faiss.IndexNSG):
        return _GRAPH
    lists = int(layer.nlist) if isinstance(layer, faiss.IndexIVF) else 1
    return max(lists, int(layer.pq.ksub) if hasattr(layer, "pq") else 1)
