"""An index's files, and how large they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from funnel.errors import BundleError
from funnel.index.config import IndexInfo
from funnel.index.parameters import faiss
from funnel.index.structure import check_structure


def info_for(folder: Path, shape: tuple[int, ...], towers_fingerprint: str | None) -> IndexInfo:
    """The description in index.json of an index over vectors of this shape. towers_fingerprint: None accepts
    any.

    Raises: BundleError when it is missing or damaged, and when the index is of other towers or vectors.
    """
    info = _read_info(folder / "index.json")
    if towers_fingerprint is not None and info.towers_fingerprint != towers_fingerprint:
        raise BundleError(
            f"{folder}: built from the vectors of towers {info.towers_fingerprint or 'unknown'}, but the "
            f"towers in use are {towers_fingerprint}; build the index again"
        )
    if info.shards > max(1, info.size):
        raise BundleError(
            f"{folder / 'index.json'}: {info.shards} shards of {info.size} items; it is damaged"
        )
    if shape != (info.size, info.dimension):
        raise BundleError(f"{folder}: built from vectors of shape {info.size, info.dimension}, not {shape}")
    return info


def _read_info(path: Path) -> IndexInfo:
    try:
        return IndexInfo.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror})") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise BundleError(f"{path}: damaged, or from a newer funnel: {problems}") from error


def read_index(path: Path, size: int, dimension: int, mmap: bool) -> Any:
    """FAISS's index from its file. Raises: BundleError when it is missing, damaged or of another size."""
    try:
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC if mmap else 0)
    except RuntimeError as error:
        raise BundleError(f"{path}: missing or damaged; FAISS cannot read it") from error
    if (index.ntotal, index.d) != (size, dimension):
        raise BundleError(f"{path}: holds {index.ntotal} vectors of {index.d}, not {size, dimension}")
    check_structure(index, path)
    return index


def size_of(index: Any) -> int:
    """The bytes that FAISS's file of an index would have; none is written."""
    size = 0

    def count(part: bytes) -> int:
        nonlocal size
        size += len(part)
        return len(part)

    faiss.write_index(index, faiss.PyCallbackIOWriter(count))
    return size
