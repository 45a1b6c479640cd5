"""Vectors of texts that were encoded before, by what the texts say: a folder of a few files.

A row of a file is a digest of the text, a checksum, and the vector. A file is written anew and renamed, so
that nobody reads half of it; of two that write at once one stays, and the other's vectors are computed again
one day. A row that is damaged is as if it were not there.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import own_cache
from funnel.types import Float32

log = logging.getLogger(__name__)

#: Most bytes of one model's vectors; the oldest go first. Vectors of an earlier version go at once.
MOST_BYTES = 2 << 30

#: Texts that are encoded before what came of them is kept.
PART = 1 << 16

#: A file for each first digit of a digest.
FILES = 16

#: Bytes of a digest and of a checksum.
_DIGEST, _SUM = 16, 4

#: Where the folder is, if not in the user's own cache; empty for none.
VARIABLE = "FUNNEL_TEXT_CACHE"


def cache_folder() -> Path | None:
    """The folder; None where there is none."""
    if (named := os.environ.get(VARIABLE)) is not None:
        return Path(named) if named else None
    own = own_cache()
    return None if own is None else own / "texts"


class TextCache:
    """Vectors of one model. folder: None keeps nothing. model: its name and version. size: of a vector."""

    def __init__(
        self, folder: Path | None, model: tuple[str, str], size: int, most_bytes: int = MOST_BYTES
    ) -> None:
        self._folder, self._size = folder, size
        self._name, self._version = model
        self._row = _DIGEST + _SUM + 4 * size
        self._rows = max(1, most_bytes // FILES // self._row)

    def vectors(self, texts: Sequence[str], encode: Callable[[list[str]], Float32]) -> Float32:
        """float32 [n, size], in the order of the texts; what is not kept is encoded, each text once."""
        digests = [hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:_DIGEST] for text in texts]
        out = np.empty((len(texts), self._size), dtype=np.float32)
        there = self._fill(digests, out)
        rows_of: dict[bytes, list[int]] = {}
        for row in np.flatnonzero(~there).tolist():
            rows_of.setdefault(digests[row], []).append(row)
        new = list(rows_of)
        for part in (new[at : at + PART] for at in range(0, len(new), PART)):
            vectors = encode([texts[rows_of[digest][0]] for digest in part])
            for digest, vector in zip(part, vectors, strict=True):
                out[rows_of[digest]] = vector
            self._keep(part, vectors)
        return out

    def _fill(self, digests: Sequence[bytes], out: Float32) -> NDArray[np.bool_]:
        """Write what is kept into out. Returns which of the rows that are."""
        there = np.zeros(len(digests), dtype=np.bool_)
        files = np.array([_file(digest) for digest in digests], dtype=np.int64)
        for number in np.unique(files).tolist():
            kept = self._read(number)
            at = {kept[n, :_DIGEST].tobytes(): n for n in range(len(kept))}
            for row in np.flatnonzero(files == number).tolist():
                n = at.get(digests[row], -1)
                if n >= 0 and _whole(kept[n]):
                    out[row] = kept[n, _DIGEST + _SUM :].view(np.float32)
                    there[row] = True
        return there

    def _keep(self, digests: Sequence[bytes], vectors: Float32) -> None:
        if self._folder is None:
            return
        new = np.stack([_packed(digest, vector) for digest, vector in zip(digests, vectors, strict=True)])
        files = np.array([_file(digest) for digest in digests])
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._forget_earlier(self._folder)
            for number in np.unique(files).tolist():
                mine = new[files == number]
                kept = {row[:_DIGEST].tobytes(): row for row in (*self._read(number), *mine)}
                _write(self._path(number), np.stack(list(kept.values())[-self._rows :]))
        except OSError as error:
            log.info("vectors of texts cannot be kept in %s: %s", self._folder, error)

    def _read(self, number: int) -> NDArray[np.uint8]:
        """The rows of a file; none where it is missing or damaged."""
        if self._folder is None:
            return np.empty((0, self._row), dtype=np.uint8)
        try:
            with self._path(number).open("rb") as file:
                rows = np.lib.format.read_array(file, allow_pickle=False)
        except (OSError, ValueError, EOFError, MemoryError):
            rows = None
        fits = isinstance(rows, np.ndarray) and rows.ndim == 2 and rows.dtype == np.uint8
        if rows is None or not fits or rows.shape[1] != self._row:
            return np.empty((0, self._row), dtype=np.uint8)
        return np.ascontiguousarray(rows)

    def _path(self, number: int) -> Path:
        return (self._folder or Path()) / f"{self._name}-{self._version}-{number:x}.npy"

    def _forget_earlier(self, folder: Path) -> None:
        """Remove what an earlier version of the model gave."""
        for path in folder.glob(f"{self._name}-*.npy"):
            if not path.name.startswith(f"{self._name}-{self._version}-"):
                path.unlink(missing_ok=True)


def _file(digest: bytes) -> int:
    return digest[0] % FILES


def _packed(digest: bytes, vector: Float32) -> NDArray[np.uint8]:
    content = digest + vector.tobytes()
    whole = digest + zlib.crc32(content).to_bytes(_SUM, "little") + vector.tobytes()
    return np.frombuffer(whole, dtype=np.uint8)


def _whole(row: NDArray[np.uint8]) -> bool:
    data = row.tobytes()
    content = data[:_DIGEST] + data[_DIGEST + _SUM :]
    return zlib.crc32(content) == int.from_bytes(data[_DIGEST : _DIGEST + _SUM], "little")


def _write(path: Path, rows: NDArray[Any]) -> None:
    """Write a file in one step. Raises: OSError."""
    handle, name = tempfile.mkstemp(prefix=".texts-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, rows, allow_pickle=False)
        Path(name).replace(path)
    finally:
        Path(name).unlink(missing_ok=True)
