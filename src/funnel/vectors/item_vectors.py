"""Item vectors, kept in one of several forms and read as float32."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from funnel.errors import DataError
from funnel.types import Float32, growable
from funnel.values.arrays import mapped
from funnel.vectors.coding import (
    FORMS,
    IN_CODE,
    IN_FILES,
    LARGEST,
    Form,
    Stored,
    decode,
    encode,
    stored_width,
)

__all__ = ["FORMS", "Form", "ItemVectors", "Stored"]

#: Rows that are decoded or encoded together; bounds memory, not results.
_BLOCK = 65_536


class ItemVectors:
    """Vectors of n items, d numbers each, kept as float32, float16 or int8 (see `funnel.vectors.coding`).

    `vectors[rows]` are some of them as float32, for any index of the first dimension; `np.asarray(vectors)`
    are all. What is read is what is stored, to the last bit, and what every score is computed from. Rows may
    be written to where the array may be: `vectors[rows] = values` keeps them in the same form.

        vectors = ItemVectors.of(np.eye(4, dtype=np.float32)).kept("int8")
        vectors[[2, 0]]
    """

    def __init__(self, stored: Stored, d: int) -> None:
        self._own = stored
        self._dimension = d
        self.stored = stored.view(np.ndarray)
        self.stored.flags.writeable = False

    @classmethod
    def of(cls, vectors: ItemVectors | Any) -> ItemVectors:
        """The same, or numbers [n, d] as float32, which are copied only where they are of another type or
        order."""
        if isinstance(vectors, ItemVectors):
            return vectors
        array = np.asarray(np.ascontiguousarray(vectors, dtype=np.float32))
        return cls(array, array.shape[1])

    @classmethod
    def load(cls, path: Path, d: int) -> ItemVectors:
        """What `save` wrote, mapped and not read; the form is that of the file.

        Raises: BundleError when the file is damaged or its vectors have not d numbers.
        """
        form = _form_of(path)
        stored = mapped(path, IN_FILES[form].name, None, stored_width(form, d))
        return cls(stored.view(IN_CODE[form]), d)

    def save(self, path: Path) -> None:
        """One `.npy`: float32 or float16 [n, d], or int8 [n, d + 4]."""
        np.save(path, self.stored.view(IN_FILES[self.form]), allow_pickle=False)

    @property
    def form(self) -> Form:
        """How the numbers are kept."""
        return next(form for form in FORMS if self.stored.dtype == IN_CODE[form])

    @property
    def shape(self) -> tuple[int, int]:
        """n and d."""
        return len(self.stored), self._dimension

    @property
    def T(self) -> Float32:
        """All of them, read as float32 [d, n]."""
        return np.asarray(self).T

    @property
    def nbytes(self) -> int:
        """Bytes of all rows."""
        return self.stored.nbytes

    def __len__(self) -> int:
        return len(self.stored)

    def __getitem__(self, rows: Any) -> Float32:
        return decode(self.stored[rows])

    def __setitem__(self, rows: Any, values: Any) -> None:
        shape = (*np.shape(self._own[rows])[:-1], self._dimension)
        self._own[rows] = encode(np.broadcast_to(np.asarray(values, dtype=np.float32), shape), self.form)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        whole = decode(self.stored)
        return np.array(whole, dtype=dtype, copy=copy)

    def part(self, first: int, stop: int) -> ItemVectors:
        """The rows from `first` to below `stop`; not copied."""
        return ItemVectors(self._own[first:stop], self._dimension)

    def with_room(self, n: int) -> ItemVectors:
        """A private copy with room for n rows, which may be written to, see `funnel.types.growable`."""
        return ItemVectors(growable(self.stored, n), self._dimension)

    def kept(self, form: Form) -> ItemVectors:
        """The same vectors in another form, each row for itself.

        Raises: DataError naming the first row with a number that float16 does not reach.
        """
        if form == self.form:
            return self
        out = np.empty((len(self), stored_width(form, self._dimension)), dtype=IN_CODE[form])
        for at in range(0, len(self), _BLOCK):
            some = self[at : at + _BLOCK]
            if form == "float16":
                _check_reach(some, at)
            out[at : at + _BLOCK] = encode(some, form)
        return ItemVectors(out, self._dimension)


def _check_reach(vectors: Float32, first: int) -> None:
    beyond = np.isfinite(vectors) & (np.abs(vectors) > LARGEST)
    if beyond.any():
        row, column = np.argwhere(beyond)[0]
        raise DataError(
            f"the vector of item row {first + row} has the number {vectors[row, column]:g}, and float16 "
            f"reaches {LARGEST:g}: keep vectors as int8 or float32 (index.vectors)"
        )


def _form_of(path: Path) -> Form:
    """What a file's numbers are kept as; float32 where that cannot be said, which whoever maps it will."""
    with suppress(Exception):
        dtype = np.load(path, mmap_mode="r", allow_pickle=False).dtype
        return next(form for form in FORMS if dtype == IN_FILES[form])
    return "float32"
