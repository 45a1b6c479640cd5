"""Search parameters as numbers by name, and the nested objects in which FAISS wants them.

    nprobe    inverted lists that are visited                          IVF…
    efSearch  length of the queue of nodes to visit                    HNSW…
    k_factor  candidates a result that are scored again exactly        whatever compresses the vectors

They go with the call: `faiss.SearchParameters` objects, never fields of the shared index. `k_factor` is
RFlat's where the spec has a refinement; elsewhere funnel fetches more and scores them with the true vectors.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import faiss as _faiss

from funnel.errors import ConfigError
from funnel.index.checks import at_least_one

#: Untyped: FAISS's stubs do not know the keyword arguments that its Python layer adds.
faiss: Any = _faiss


def layers(index: Any) -> Iterator[Any]:
    """The index and what it wraps, outermost first."""
    index = faiss.downcast_index(index)
    yield index
    if isinstance(index, faiss.IndexRefine):
        yield from layers(index.base_index)
    elif isinstance(index, faiss.IndexPreTransform):
        yield from layers(index.index)


def refines_itself(index: Any) -> bool:
    """Whether the spec has a refinement, such as RFlat."""
    return any(isinstance(layer, faiss.IndexRefine) for layer in layers(index))


def lists(index: Any) -> int:
    """The number of inverted lists; 1 where everything is in one."""
    last = list(layers(index))[-1]
    return int(last.nlist) if isinstance(last, faiss.IndexIVF) else 1


def names(index: Any) -> tuple[str, ...]:
    """The search parameters that this index has."""
    nested_layers = list(layers(index))
    whole = len(nested_layers) == 1 and isinstance(nested_layers[0], faiss.IndexIVFFlat | faiss.IndexHNSWFlat)
    return (
        *(("nprobe",) if isinstance(nested_layers[-1], faiss.IndexIVF) else ()),
        *(("efSearch",) if isinstance(nested_layers[-1], faiss.IndexHNSW) else ()),
        *(() if whole else ("k_factor",)),
    )


def checked(params: Mapping[str, Any], names: tuple[str, ...], spec: str) -> dict[str, int]:
    """The parameters as whole numbers.

    Raises: ConfigError for one that the index does not have, FunnelError for one below 1.
    """
    unknown = sorted(set(params) - set(names))
    if unknown:
        has = f"has {', '.join(names)}" if names else "has none"
        raise ConfigError(f"search parameters {unknown} are unknown: an index {spec!r} {has}")
    return {name: at_least_one(name, value) for name, value in params.items()}


def nested(index: Any, params: Mapping[str, int]) -> Any:
    """The `faiss.SearchParameters` for an index, or None where it takes none."""
    index = faiss.downcast_index(index)
    if isinstance(index, faiss.IndexRefine):
        inner = nested(index.base_index, params)
        return faiss.IndexRefineSearchParameters(k_factor=float(params["k_factor"]), base_index_params=inner)
    if isinstance(index, faiss.IndexPreTransform):
        inner = nested(index.index, params)
        return None if inner is None else faiss.SearchParametersPreTransform(index_params=inner)
    if isinstance(index, faiss.IndexIVF):
        return faiss.SearchParametersIVF(nprobe=params["nprobe"])
    if isinstance(index, faiss.IndexHNSW):
        return faiss.SearchParametersHNSW(efSearch=params["efSearch"])
    return None


class omp_threads:
    """Let FAISS use n threads for calls of this thread, and what it used before afterwards.

    OpenMP keeps the number for each calling thread (its ICV `nthreads-var`), not for the process: other
    threads that search at the same time keep theirs. A test holds this.
    """

    def __init__(self, n: int) -> None:
        self._n = self._before = n

    def __enter__(self) -> None:
        self._before = faiss.omp_get_max_threads()
        if self._before != self._n:
            faiss.omp_set_num_threads(self._n)

    def __exit__(self, *_: object) -> None:
        if self._before != self._n:
            faiss.omp_set_num_threads(self._before)
