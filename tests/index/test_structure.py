"""Row numbers inside a FAISS index that lead outside: refused when it is loaded, by the file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from funnel.errors import BundleError
from funnel.index import FaissIndex, IndexConfig

VECTORS = np.random.default_rng(0).normal(size=(1000, 16)).astype(np.float32)
SPECS = ("IVF8,Flat", "IVF8,PQ8x4fs", "HNSW8", "IVF8_HNSW4,Flat", "PQ8x4fs,RFlat", "OPQ8,IVF8,PQ8x4fs,RFlat")


def saved(folder: Path, spec: str, spoil: Callable[[Any], None] = lambda index: None) -> Path:
    """An index on disk; spoil: what is done to FAISS's own before."""
    FaissIndex.build(VECTORS, IndexConfig(spec=spec, k=10), VECTORS[:20]).save(folder)
    path = folder / "index.faiss"
    index = faiss.read_index(str(path))
    spoil(faiss.downcast_index(index))
    faiss.write_index(index, str(path))
    return path


@pytest.mark.parametrize("spec", SPECS)
def test_what_faiss_wrote_itself_is_taken(tmp_path: Path, spec: str) -> None:
    saved(tmp_path, spec)
    assert FaissIndex.load(tmp_path, VECTORS).size == len(VECTORS)


def ids(value: int) -> Callable[[Any], None]:
    """The last list's first row is another number."""

    def spoil(index: Any) -> None:
        number = max(one for one in range(index.nlist) if index.invlists.list_size(one))
        rows = faiss.rev_swig_ptr(index.invlists.get_ids(number), index.invlists.list_size(number))
        rows[0] = value

    return spoil


def graph(part: str, place: int, value: int) -> Callable[[Any], None]:
    """One number of a graph is another."""

    def spoil(index: Any) -> None:
        vector = getattr(index.hnsw, part)
        values = faiss.vector_to_array(vector)
        values[place] = value
        faiss.copy_array_to_vector(values, vector)

    return spoil


def entry(value: int) -> Callable[[Any], None]:
    def spoil(index: Any) -> None:
        index.hnsw.entry_point = value

    return spoil


def levels(value: int) -> Callable[[Any], None]:
    def spoil(index: Any) -> None:
        index.hnsw.max_level = value

    return spoil


SPOILT: dict[str, tuple[str, Callable[[Any], None]]] = {
    "a row behind the last": ("IVF8,Flat", ids(1000)),
    "a far row": ("IVF8,Flat", ids(10**12)),
    "a negative row": ("IVF8,Flat", ids(-5)),
    "a link behind the last": ("HNSW8", graph("neighbors", 0, 1000)),
    "a link before the first": ("HNSW8", graph("neighbors", 0, -2)),
    "offsets that fall": ("HNSW8", graph("offsets", 5, 0)),
    "a level that is not there": ("HNSW8", graph("levels", 5, 100)),
    "an entry that is not there": ("HNSW8", entry(10**6)),
    "more levels than there are": ("HNSW8", levels(7)),
}  # fmt: skip


@pytest.mark.parametrize("kind", SPOILT)
def test_numbers_that_lead_outside_are_refused(tmp_path: Path, kind: str) -> None:
    spec, spoil = SPOILT[kind]
    saved(tmp_path, spec, spoil)
    with pytest.raises(BundleError, match=r"index\.faiss"):
        FaissIndex.load(tmp_path, VECTORS)


@pytest.mark.parametrize("value", [1000, -1])
def test_rows_of_saved_lists_are_looked_at(tmp_path: Path, value: int) -> None:
    saved(tmp_path, "IVF8,Flat")
    path = tmp_path / "lists.rows.npy"
    rows = np.load(path)
    rows[3] = value
    np.save(path, rows)
    with pytest.raises(BundleError, match=r"lists\.rows\.npy: number 3 is"):
        FaissIndex.load(tmp_path, VECTORS)
