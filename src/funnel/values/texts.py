"""Arrays of texts, on disk and in memory, in which each text takes its own length only.

NumPy's fixed-width arrays give every text the room of the longest. Here the texts' UTF-8 lies end to end,
beside the offsets where each begins: what Arrow calls a large string array, which reads it without a copy.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from funnel.errors import BundleError
from funnel.types import Int32
from funnel.values.arrays import mapped

#: What NumPy holds some of the texts as.
TEXT = np.dtypes.StringDType()

#: From so many on, and where they are one in so many of ours, texts are looked up in a hash table.
_MANY, _SHARE = 64, 32


class Texts:
    """Texts by position, never written to. Indexing gives one text (`np.str_`), or a NumPy array of some.

    dtype: NumPy's StringDType, which such arrays have.
    """

    dtype = TEXT

    def __init__(self, column: Any) -> None:
        self._column = column

    @classmethod
    def of(cls, values: Any) -> Texts:
        """From NumPy's texts of any width, or any sequence of `str`.

        Raises: ValueError for half a character.
        """
        if isinstance(values, Texts):
            return values
        if isinstance(values, np.ndarray) and values.dtype.kind in "UT":
            values = values.astype(object)
        array = pa.array(values, pa.large_string())
        return cls(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)

    def __len__(self) -> int:
        return len(self._column)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tolist())

    def __getitem__(self, positions: Any) -> Any:
        if isinstance(positions, int | np.integer):
            return np.str_(self._column[int(positions)].as_py())
        if isinstance(positions, slice):
            return Texts(self._column[positions])._array()
        positions = np.asarray(positions)
        positions = np.flatnonzero(positions) if positions.dtype == np.bool_ else positions
        positions = np.where(positions < 0, positions + len(self), positions)
        return (
            Texts(self._column.take(pa.array(positions.ravel().astype(np.int64))))
            ._array()
            .reshape(positions.shape)
        )

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self._array() if dtype is None else self._array().astype(dtype)

    def rising(self) -> bool:
        """Whether each text is above the one before it."""
        return len(self) < 2 or bool(pc.all(pc.less(self._column[:-1], self._column[1:])).as_py())

    def equals(self, other: Texts) -> bool:
        """Whether another has the same texts in the same order."""
        return bool(self._column.equals(other._column))

    def tolist(self) -> list[str]:
        """As Python's texts."""
        texts: list[str] = self._column.to_pylist()
        return texts

    def find(self, value: str) -> int:
        """The position of a text, −1 where it is not there; ours are sorted."""
        key, (starts, data) = _encoded(value), self._views
        low, high = 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if bytes(data[starts[middle] : starts[middle + 1]]) < key:  # in the order of code points
                low = middle + 1
            else:
                high = middle
        equal = low < len(self) and bytes(data[starts[low] : starts[low + 1]]) == key
        return low if equal else -1

    def find_all(self, values: list[str | None]) -> Int32:
        """The positions of many texts, −1 where one is not there or is None: int32 [n]; ours are sorted.

        Few are searched one by one, many in a hash table of ours.
        """
        if len(values) < max(_MANY, len(self) // _SHARE):
            positions = (-1 if value is None else self.find(value) for value in values)
            return np.fromiter(positions, dtype=np.int32, count=len(values))
        wanted = pa.array([None if value is None else _encoded(value) for value in values], pa.large_binary())
        positions = pc.index_in(wanted, value_set=self._column.cast(pa.large_binary()), skip_nulls=True)
        # A copy: Arrow's own array may not be written to, and callers write rows of later ids into it.
        return np.array(positions.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int32)

    def packed(self) -> NDArray[np.uint8]:
        """How many there are and where each begins, as int64, and all of their UTF-8: uint8 [bytes]."""
        column = pa.concat_arrays([self._column])  # begins at its first byte, whatever it was cut out of
        n = len(column)
        starts, data = (np.zeros(1, np.int64), b"") if not n else self._parts(column)
        return np.concatenate([_bytes(np.array([n])), _bytes(starts), np.frombuffer(data, dtype=np.uint8)])

    @classmethod
    def unpacked(cls, packed: NDArray[np.uint8]) -> Texts:
        """What `packed` gave, not copied. Raises: ValueError where it is damaged."""
        head = packed[: len(packed) // 8 * 8].view(np.int64)
        n = int(head[0]) if len(head) else -1
        if not 0 <= n < len(head) - 1 or len(packed) != 8 * (n + 2) + head[n + 1]:
            raise ValueError("texts are damaged: their number and their length do not fit")
        starts, data = pa.py_buffer(packed[8 : 8 * (n + 2)]), pa.py_buffer(packed[8 * (n + 2) :])
        column = pa.LargeStringArray.from_buffers(n, starts, data)
        column.validate(full=True)  # an offset that lies outside would end the process
        return cls(column)

    @cached_property
    def _views(self) -> tuple[memoryview, memoryview]:
        """Where each text begins, and all of them: read in place."""
        _, starts, data = self._column.buffers()
        if not len(self):
            return memoryview(b"").cast("q"), memoryview(b"")
        first = self._column.offset
        return memoryview(starts).cast("q")[first : first + len(self) + 1], memoryview(data or b"")

    @staticmethod
    def _parts(column: Any) -> tuple[NDArray[np.int64], Any]:
        _, starts, data = column.buffers()
        begins = np.frombuffer(starts, dtype=np.int64)[column.offset : column.offset + len(column) + 1]
        return begins - begins[0], (data or b"")[int(begins[0]) : int(begins[-1])]

    def _array(self) -> NDArray[Any]:
        return np.array(self._column.to_pylist(), dtype=TEXT)


def save_ids(path: Path, ids: Any) -> None:
    """Ids as .npy: int64, or `Texts.packed`."""
    whole = getattr(ids, "dtype", np.dtype(object)).kind in "iu"
    np.save(path, np.asarray(ids) if whole else Texts.of(ids).packed(), allow_pickle=False)


def load_ids(path: Path, mmap: bool = True) -> NDArray[Any] | Texts:
    """What `save_ids` wrote, by default mapped and not read; texts of fixed width too, as earlier files hold.

    Raises: BundleError where it is missing or damaged.
    """
    ids = mapped(path, "ids", None)
    ids = ids if mmap else ids.copy()
    try:
        return Texts.unpacked(ids) if ids.dtype == np.uint8 else ids
    except ValueError as error:  # Arrow's own is one
        raise BundleError(f"{path} is damaged ({error}); build the bundle again") from error


def ids_bytes(ids: Any) -> bytes:
    """Ids as bytes for a hash, equal for equal ids."""
    whole = getattr(ids, "dtype", np.dtype(object)).kind in "iu"
    return np.asarray(ids).tobytes() if whole else Texts.of(ids).packed().tobytes()


def _encoded(value: str) -> bytes:
    return value.encode("utf-8", "surrogatepass")


def _bytes(numbers: NDArray[np.int64]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(numbers, dtype=np.int64).view(np.uint8)
