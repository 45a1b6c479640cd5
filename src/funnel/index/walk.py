"""Search with a filter inside inverted lists: from the most promising list on, until none can be better.

The rows of a list are looked up in the filter's bitmap, and those that pass are scored with their true
vectors; product codes are not read. A filter that few near items pass makes the walk longer, never the result
shorter.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from funnel.compiling import compiled
from funnel.features.arrays import frozen, load_array, save_array
from funnel.index.kernel import NOBODY, REGROUP, dot, replace_worst, sort
from funnel.index.parameters import layers
from funnel.types import Float32, Int32, Int64
from funnel.values.arrays import check_offsets, check_rows
from funnel.vectors import Stored
from funnel.vectors.reading import as_float, dimension, scale_of

#: What reading and scoring a row at random costs, in rows that are only looked up in the bitmap. A round
#: figure: measured, it is 20 to 30.
_SCORED = 30
#: Rows that are scored one after the other: many reads of memory at a time take less than one after another.
_TOGETHER = 256
#: Margins to choose from.
MARGINS = [quarters / 4 for quarters in range(4, 33)]

_PARTS = ("offsets", "rows", "shapes")


@dataclass(frozen=True, eq=False)
class InvertedLists:
    """Inverted lists, laid out for walking.

    offsets: int64 [L + 1]; rows int32 [n]: list l holds the rows at `offsets[l]:offsets[l + 1]`.
    shapes: float32 [L, d + 1], the mean of each list's vectors and, behind it, their standard deviation along
        a direction. (FAISS's own centroids are directions, which do not know how long a list's vectors are.)
    """

    offsets: Int64
    rows: Int32
    shapes: Float32

    @classmethod
    def of(cls, parts: Sequence[tuple[int, Any]], vectors: Stored) -> InvertedLists | None:
        """The lists of FAISS indexes over vectors [n, d], which are read once; None where they have none.

        parts: first row and index of each range of rows.
        """
        shards = [(first, list(layers(index))[-1]) for first, index in parts]
        if not isinstance(shards[0][1], faiss.IndexIVF):
            return None
        members = [_members(shards, number) for number in range(shards[0][1].nlist)]
        offsets = np.concatenate([[0], np.cumsum([len(rows) for rows in members])]).astype(np.int64)
        rows = np.concatenate([np.empty(0, dtype=np.int32), *members])
        return cls(frozen(offsets), frozen(rows), frozen(_shapes(vectors, offsets, rows)))

    def save(self, folder: Path) -> None:
        """lists.offsets.npy, lists.rows.npy and lists.shapes.npy."""
        for name in _PARTS:
            save_array(folder, f"lists.{name}", getattr(self, name))

    @classmethod
    def load(cls, folder: Path, n: int, d: int) -> InvertedLists | None:
        """What `save` wrote, memory-mapped; None where it wrote nothing. n, d: shape of the vectors.

        Raises: BundleError when a file is damaged or only some are there.
        """
        if not any((folder / f"lists.{name}.npy").exists() for name in _PARTS):
            return None
        offsets = load_array(folder, "lists.offsets", "int64", None)
        rows = load_array(folder, "lists.rows", "int32", n)
        shapes = load_array(folder, "lists.shapes", "float32", len(offsets) - 1, d + 1)
        check_offsets(offsets, n, folder / "lists.offsets.npy")
        check_rows(rows, n, folder / "lists.rows.npy")
        return cls(offsets, rows, shapes)

    def rows_read(self, nprobe: int) -> int:
        """About how many rows a search of so many lists reads."""
        return len(self.rows) * nprobe // (len(self.offsets) - 1)

    def search(
        self, vectors: Stored, queries: Float32, k: int, bits: Any, margin: float
    ) -> tuple[Int32, Float32]:
        """The k best [B, k] among the passing rows of the lists that are worth a look.

        A list's outlook is the score of its mean, and `margin` standard deviations more. It is walked from
        the best outlook on, until the k-th best score so far is above the next one.
        bits: a row of `Allow.bits` that at least k items pass.
        """
        lengths = margin * np.linalg.norm(queries, axis=1, keepdims=True)
        with_length = np.concatenate([queries, lengths], axis=1).astype(np.float32)
        return _walk(queries, with_length, vectors, self.shapes, self.offsets, self.rows, bits, k)


def _members(shards: Sequence[tuple[int, Any]], number: int) -> Int32:
    """The rows of an inverted list, shard by shard."""
    rows = []
    for first, index in shards:
        inverted: Any = index.invlists
        if size := int(inverted.list_size(number)):
            rows.append((faiss.rev_swig_ptr(inverted.get_ids(number), size) + first).astype(np.int32))
    return np.concatenate([np.empty(0, dtype=np.int32), *rows])


def walking_pays(n: int, passing: int, target: int) -> bool:
    """Whether scoring `target` of the rows that pass, and looking up about as many as hold so many of them,
    costs less than scoring all that pass."""
    return _SCORED * target + n * target / passing < _SCORED * passing


@compiled(fastmath=REGROUP)
def _shapes(vectors: Stored, offsets: Int64, rows: Int32) -> Float32:
    """`InvertedLists.shapes`; zeros for an empty list."""
    n_lists, d = len(offsets) - 1, dimension(vectors)
    out = np.zeros((n_lists, d + 1), dtype=np.float32)
    for number in range(n_lists):
        members = rows[offsets[number] : offsets[number + 1]]
        if len(members) == 0:
            continue
        total = np.zeros(d)
        variance = 0.0  # summed over the dimensions
        for row in members:
            size = scale_of(vectors[row])
            for i in range(d):
                value = size * as_float(vectors[row, i])
                total[i] += value
                variance += value * value / len(members)
        for i in range(d):
            mean = total[i] / len(members)
            variance -= mean * mean
            out[number, i] = mean
        out[number, d] = np.sqrt(max(variance, 0.0) / d)
    return out


@compiled(inner=True)
def _sink(heap: Int32, values: Float32, size: int, at: int) -> None:
    """Sink an entry to its level, in a heap whose root has the largest value."""
    entry = heap[at]
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and values[heap[child + 1]] > values[heap[child]]:
            child += 1
        if values[heap[child]] <= values[entry]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = entry


@compiled
def _walk(
    queries: Float32,
    with_length: Float32,
    vectors: Stored,
    shapes: Float32,
    offsets: Int64,
    rows: Int32,
    bits: Any,
    k: int,
) -> tuple[Int32, Float32]:
    """`InvertedLists.search`. with_length: float32 [B, d + 1], queries and their lengths times the margin;
    with `shapes` it gives the lists' outlook."""
    best_items = np.full((len(queries), k), NOBODY, dtype=np.int32)
    scores = np.full((len(queries), k), -np.inf, dtype=np.float32)
    n_lists = len(offsets) - 1
    longest = 0
    for number in range(n_lists):
        longest = max(longest, offsets[number + 1] - offsets[number])
    passing = np.empty(_TOGETHER + longest + 1, dtype=np.int32)
    values = np.empty(n_lists, dtype=np.float32)
    heap = np.empty(n_lists, dtype=np.int32)
    for b in range(len(queries)):
        for number in range(n_lists):
            values[number] = dot(with_length[b], shapes[number])
            heap[number] = number
        for at in range(n_lists // 2 - 1, -1, -1):
            _sink(heap, values, n_lists, at)
        query, best_rows, best_scores = queries[b], best_items[b], scores[b]
        left, width = n_lists, np.int64(-1)
        while width != 0:
            width = np.int64(0)
            while left > 0 and width < _TOGETHER and values[heap[0]] > best_scores[0]:
                number = heap[0]
                left -= 1
                heap[0] = heap[left]
                _sink(heap, values, left, 0)
                for at in range(offsets[number], offsets[number + 1]):
                    row = rows[at]
                    passing[width] = row  # stays only where it passes: no branch to guess wrong
                    width += np.int64((bits[row >> 6] >> np.uint64(row & 63)) & np.uint64(1))
            for at in range(width):
                row = passing[at]
                score = dot(query, vectors[row])
                if score > best_scores[0] or (score == best_scores[0] and row < best_rows[0]):
                    replace_worst(best_rows, best_scores, row, score, k)
        sort(best_rows, best_scores)
    return best_items, scores
