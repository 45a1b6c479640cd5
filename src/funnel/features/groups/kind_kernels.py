"""Compiled: what the newest events of each kind have to do with the candidates, a request after the other.

Sums run over events and dimensions in their order: no batch size changes a bit.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.kernels import slot_of, table_bits
from funnel.types import Int32, Int64
from funnel.vectors.reading import as_float, dimension, inverse_norm


class KindEvents(NamedTuple):
    """Events of each request, oldest first: request i has those from offsets[i] to offsets[i + 1].

    items: int32, −1 for one outside the catalogue. times: int64. kinds: int8, −1 for an unknown one.
    """

    items: Int32
    times: Int64
    kinds: NDArray[np.int8]
    offsets: Int64


class KindForm(NamedTuple):
    """How histories are read. kinds: int64, those that have columns. weights: float64 [all kinds + 1], of an
    event in a taste; the last of an unknown kind. fades: float64 [most events], by how many are newer."""

    kinds: Int64
    weights: NDArray[np.float64]
    fades: NDArray[np.float64]
    n_items: int


@compiled(inner=True)
def _newest(history: Any, row: int, n_items: int, kept: Any) -> int:
    """Where the newest events of a request are, into `kept`; returns how many."""
    number = 0
    at = history.offsets[row + 1] - 1
    while at >= history.offsets[row] and number < len(kept):
        if 0 <= history.items[at] < n_items:
            kept[number] = at
            number += 1
        at -= 1
    return number


@compiled(inner=True)
def _add(vector: Any, weight: float, lanes: Any, lane: int) -> None:
    """The direction of a vector, so many times, to a column of lanes [d, L]."""
    scale = weight * inverse_norm(vector)
    for i in range(len(lanes)):
        lanes[i, lane] += scale * as_float(vector[i])


@compiled(inner=True)
def _normalise(lanes: Any, there: Any) -> None:
    """Columns of length 1, as far as they have a direction: there [L]."""
    for lane in range(lanes.shape[1]):
        square = 0.0
        for i in range(len(lanes)):
            square += lanes[i, lane] * lanes[i, lane]
        there[lane] = square > 0
        for i in range(len(lanes) if square > 0 else 0):
            lanes[i, lane] /= np.sqrt(square)


@compiled(inner=True)
def _cosines(vector: Any, lanes: Any, cosines: Any) -> None:
    """Of a vector to each column."""
    cosines[:] = 0.0
    for i in range(len(lanes)):
        for lane in range(lanes.shape[1]):
            cosines[lane] += np.float64(as_float(vector[i])) * lanes[i, lane]
    scale = inverse_norm(vector)
    for lane in range(lanes.shape[1]):
        cosines[lane] *= scale


@compiled
def of_kinds(
    vectors: Any, history: Any, form: Any, items: Any, now: Any, timed: bool, out: Any, at: int
) -> None:
    """share, since (where timed), met and near of each kind, and near of all, into out [B, K, …] from column
    `at` on, which holds NaN. vectors: stored, [n, d]. now: int64 [B]."""
    n, width, d = len(form.kinds), 4 if timed else 3, dimension(vectors)
    kept = np.empty(len(form.fades), dtype=np.int64)
    bits = table_bits(min(len(kept), max(1, len(history.items))))
    keys = np.empty(1 << bits, dtype=np.int32)
    seen = np.empty((1 << bits, n), dtype=np.int32)
    lanes, there, cosines = np.empty((d, n + 1)), np.empty(n + 1, dtype=np.bool_), np.empty(n + 1)
    number, first = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    for row in range(len(items)):
        events = _newest(history, row, form.n_items, kept)
        keys[:], lanes[:], number[:], first[:] = -1, 0.0, 0, -1
        for step in range(events):
            item, kind = history.items[kept[step]], np.int64(history.kinds[kept[step]])
            slot = slot_of(keys, bits, item)
            if keys[slot] == -1:
                keys[slot], seen[slot] = item, 0
            fade = form.fades[step]
            _add(vectors[item], fade * form.weights[kind], lanes, n)
            for lane in range(n):
                if form.kinds[lane] == kind:
                    first[lane] = kept[step] if number[lane] == 0 else first[lane]
                    number[lane] += 1
                    seen[slot, lane] += 1
                    _add(vectors[item], fade, lanes, lane)
        _normalise(lanes, there)
        for position in range(items.shape[1]):
            item = items[row, position]
            if item < 0:
                continue
            if d > 0 and events > 0:
                _cosines(vectors[item], lanes, cosines)
            slot = slot_of(keys, bits, item)
            for lane in range(n):
                column = at + lane * width
                if events > 0:
                    out[row, position, column] = number[lane] / events
                if timed and number[lane] > 0:
                    out[row, position, column + 1] = np.log1p(max(now[row] - history.times[first[lane]], 0))
                times = seen[slot, lane] if keys[slot] == item else 0
                out[row, position, column + width - 2] = np.log1p(times)
                if there[lane]:
                    out[row, position, column + width - 1] = cosines[lane]
            if there[n]:
                out[row, position, at + n * width] = cosines[n]


@compiled
def of_values(codes: Any, history: Any, form: Any, items: Any, out: Any, column: int) -> None:
    """The weighted share of the events with each candidate's value, of those that have one, into a column
    that holds NaN. codes: int32 [n_items], 0 for none."""
    kept = np.empty(len(form.fades), dtype=np.int64)
    bits = table_bits(min(len(kept), max(1, len(history.items))))
    keys, shares = np.empty(1 << bits, dtype=np.int32), np.empty(1 << bits)
    for row in range(len(items)):
        events, total = _newest(history, row, form.n_items, kept), 0.0
        keys[:] = -1
        for step in range(events):
            code, kind = codes[history.items[kept[step]]], np.int64(history.kinds[kept[step]])
            if code > 0:
                slot = slot_of(keys, bits, code)
                if keys[slot] == -1:
                    keys[slot], shares[slot] = code, 0.0
                shares[slot] += form.fades[step] * form.weights[kind]
                total += form.fades[step] * form.weights[kind]
        if total <= 0:
            continue
        for position in range(items.shape[1]):
            if items[row, position] >= 0 and codes[items[row, position]] > 0:
                slot = slot_of(keys, bits, codes[items[row, position]])
                same = keys[slot] == codes[items[row, position]]
                out[row, position, column] = shares[slot] / total if same else 0.0


@compiled
def of_refusals(vectors: Any, refused: Any, n_items: int, items: Any, out: Any, at: int) -> None:
    """How often the user said no to each candidate, and how near it is to what they said no to, into two
    columns that hold NaN. refused: lists of items."""
    d = dimension(vectors)
    lanes, there, cosines = np.empty((d, 1)), np.empty(1, dtype=np.bool_), np.empty(1)
    for row in range(len(items)):
        lanes[:] = 0.0
        own = refused.values[refused.offsets[row] : refused.offsets[row + 1]]
        bits = table_bits(max(1, len(own)))
        keys, times = np.full(1 << bits, -1, dtype=np.int32), np.zeros(1 << bits, dtype=np.int64)
        for item in own:
            if 0 <= item < n_items:
                slot = slot_of(keys, bits, item)
                keys[slot] = item
                times[slot] += 1
                _add(vectors[item], 1.0, lanes, 0)
        _normalise(lanes, there)
        for position in range(items.shape[1]):
            item = items[row, position]
            if item < 0:
                continue
            out[row, position, at] = np.log1p(times[slot_of(keys, bits, item)])
            if there[0]:
                _cosines(vectors[item], lanes, cosines)
                out[row, position, at + 1] = cosines[0]
