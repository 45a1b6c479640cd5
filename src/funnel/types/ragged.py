"""Lists of different lengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import frozen
from funnel.types.arrays import Int64


class Lists(NamedTuple):
    """A Ragged as compiled code takes it: list i is `values[offsets[i]:offsets[i + 1]]`."""

    values: NDArray[Any]
    offsets: Int64


@dataclass(frozen=True)
class Ragged:
    """Lists of different lengths, end to end in one array.

    values: any dtype, [total]. offsets: int64 [n + 1]; list i is `values[offsets[i]:offsets[i + 1]]`.
    """

    values: NDArray[Any]
    offsets: Int64

    @classmethod
    def from_lists(cls, lists: Sequence[Iterable[Any]], dtype: Any = np.int32) -> Ragged:
        """One list an entry, in order.

        >>> Ragged.from_lists([[1, 2], [], [3]]).lengths.tolist()
        [2, 0, 1]
        """
        arrays = [np.asarray(list(part), dtype=dtype) for part in lists]
        values = np.concatenate(arrays) if arrays else np.empty(0, dtype=dtype)
        return cls.from_lengths(values, np.array([len(a) for a in arrays], dtype=np.int64))

    @classmethod
    def from_lengths(cls, values: NDArray[Any], lengths: NDArray[Any]) -> Ragged:
        """`values` cut into consecutive lists of these lengths."""
        offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
        np.cumsum(lengths, out=offsets[1:])
        return cls(values, offsets)

    @classmethod
    def empty(cls, n: int, dtype: Any = np.int32) -> Ragged:
        """n empty lists."""
        return cls(np.empty(0, dtype=dtype), np.zeros(n + 1, dtype=np.int64))

    @cached_property
    def rows(self) -> Lists:
        """Lists of rows (int32) as compiled code takes them; made once, however many kernels read them."""
        return Lists(frozen(self.values, np.int32), frozen(self.offsets, np.int64))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, i: int) -> NDArray[Any]:
        return self.values[self.offsets[i] : self.offsets[i + 1]]

    @property
    def lengths(self) -> Int64:
        """int64 [n]."""
        return np.diff(self.offsets)

    @property
    def list_of(self) -> Int64:
        """For each value, the number of the list that it is in: int64 [total]."""
        return np.repeat(np.arange(len(self), dtype=np.int64), self.lengths)

    def take(self, rows: NDArray[Any] | slice) -> Ragged:
        """The lists at these rows; a negative row gives an empty list. A slice, which has no step, and one
        list alone are views."""
        if isinstance(rows, slice):
            start, stop, _ = rows.indices(len(self))
            offsets = self.offsets[start : max(start, stop) + 1]
            return Ragged(self.values[offsets[0] : offsets[-1]], offsets - offsets[0])
        rows = np.asarray(rows, dtype=np.int64)
        if len(rows) == 1:
            alone = self[rows[0]] if rows[0] >= 0 else self.values[:0]
            return Ragged(alone, np.array([0, len(alone)], dtype=np.int64))
        filled = rows >= 0
        lengths = np.zeros(len(rows), dtype=np.int64)
        lengths[filled] = self.offsets[rows[filled] + 1] - self.offsets[rows[filled]]  # of these lists alone
        out = Ragged.from_lengths(np.empty(0, dtype=self.values.dtype), lengths)
        starts = np.zeros(len(rows), dtype=np.int64)
        starts[filled] = self.offsets[rows[filled]]
        within = np.arange(out.offsets[-1]) - np.repeat(out.offsets[:-1], lengths)
        return Ragged(self.values[np.repeat(starts, lengths) + within], out.offsets)

    def last(self, n: int, fill: Any = -1) -> NDArray[Any]:
        """The last n of each list, in order: [len(self), n], `fill` on the right of a shorter one.

        >>> Ragged.from_lists([[1, 2, 3], [4]]).last(2).tolist()
        [[2, 3], [4, -1]]
        """
        kept = np.minimum(self.lengths, n)
        column = np.arange(n)
        inside = column < kept[:, None]
        out = np.full((len(self), n), fill, dtype=self.values.dtype)
        out[inside] = self.values[((self.offsets[1:] - kept)[:, None] + column)[inside]]
        return out
