"""Whether the numbers inside a FAISS index lead to its own rows: FAISS follows them without looking."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from funnel.errors import BundleError
from funnel.index.parameters import faiss, layers
from funnel.values.arrays import check_offsets, check_rows, check_within


def check_structure(index: Any, path: Path) -> None:
    """Look at every row number of inverted lists and every link of a graph, once.

    Raises: BundleError naming the file and the first that leads outside.
    """
    for layer in layers(index):
        if layer.ntotal != index.ntotal:
            raise BundleError(
                f"{path}: a layer holds {layer.ntotal} vectors of {index.ntotal}; it is damaged"
            )
        if isinstance(layer, faiss.IndexIVF):
            _check_lists(layer, path)
            check_structure(layer.quantizer, path)
        if isinstance(layer, faiss.IndexHNSW):
            _check_graph(layer, path)


def _check_lists(layer: Any, path: Path) -> None:
    lists, held = layer.invlists, 0
    for number in range(layer.nlist):
        size = int(lists.list_size(number))
        held += size
        if size:
            check_rows(faiss.rev_swig_ptr(lists.get_ids(number), size), layer.ntotal, path)
    if held != layer.ntotal:
        raise BundleError(f"{path}: its lists hold {held} rows, not {layer.ntotal}; it is damaged")


def _check_graph(layer: Any, path: Path) -> None:
    """Links are rows or −1; each node has links of its own, enough for the levels that it is on."""
    graph, n = layer.hnsw, layer.ntotal
    links = faiss.vector_to_array(graph.neighbors)
    offsets = faiss.vector_to_array(graph.offsets).astype(np.int64)
    levels = faiss.vector_to_array(graph.levels)
    room = faiss.vector_to_array(graph.cum_nneighbor_per_level)
    check_within(links, -1, n - 1, path)
    check_offsets(offsets, len(links), path)
    check_within(levels, 1, len(room) - 1, path)
    entry = graph.entry_point
    whole = (
        len(offsets) == n + 1 == len(levels) + 1
        and (room[0] == 0 and (np.diff(room) >= 0).all())
        and (np.diff(offsets) == room[levels]).all()
        and (0 <= entry < n and graph.max_level == levels[entry] - 1 if n else entry == -1)
        and _on_their_levels(links, offsets, levels, room)
    )
    if not whole:
        raise BundleError(f"{path}: the graph's levels do not fit its links; it is damaged")


def _on_their_levels(links: Any, offsets: Any, levels: Any, room: Any) -> bool:
    """Whether every link above the lowest level leads to a node that is there, too."""
    for level in range(1, int(levels.max(initial=1))):
        nodes = np.flatnonzero(levels > level)
        slots = offsets[nodes, None] + np.arange(room[level], room[level + 1])
        reached = links[slots]
        if (levels[reached[reached >= 0]] <= level).any():
            return False
    return True
