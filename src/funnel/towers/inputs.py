"""The inputs of the query tower, the same for training, validation and serving. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.compiling import compiled
from funnel.features.arrays import frozen
from funnel.features.encoders import Spec
from funnel.features.recent import members
from funnel.types import Clock, Features, Int64, Ragged, Requests

#: Gap buckets: 0 = unknown or first event, then powers of two of seconds (the last is 17 years and more).
GAPS = 31


class PaddedHistories(NamedTuple):
    """The newest items of some requests, right-padded.

    items: int32 [B, L], 0 where padded. lengths: int64 [B]. gaps: int64 [B, L], see `gap_buckets`, and
    `with_kinds` where events are of several.
    """

    items: NDArray[np.int32]
    lengths: Int64
    gaps: Int64


def gap_buckets(times: Ragged, clock: Clock) -> Int64:
    """The time since the event before in the same list, as a bucket: int64, one for each value.

    1 + floor(log2(1 + seconds)), at most GAPS - 1; 0 for a list's first event, and wherever clock is not
    "time".
    """
    seconds = times.values
    if clock != "time" or len(seconds) == 0:
        return np.zeros(len(seconds), dtype=np.int64)
    gaps = np.zeros(len(seconds), dtype=np.int64)
    since = np.maximum(seconds[1:] - seconds[:-1], 0)
    gaps[1:] = np.minimum(1 + np.log2(1.0 + since), GAPS - 1)
    starts = times.offsets[:-1]
    gaps[starts[starts < len(gaps)]] = 0
    return gaps


def with_kinds(gaps: Int64, kinds: NDArray[Any]) -> Int64:
    """Gaps and kinds as one number each: gap + GAPS · (1 + kind). kinds: codes, −1 where one is not known."""
    marks: Int64 = gaps + GAPS * (1 + kinds.astype(np.int64))
    return marks


def histories(requests: Requests, limit: int, clock: Clock, *, kinds: bool = False) -> PaddedHistories:
    """The last `limit` items of each request's history; rows below zero are dropped first.

    kinds: whether the gaps say the kinds of events too; where a request has none, they are not known.

    Where nothing orders them a set of at most `limit`, as `funnel.features.recent.members` has it: whatever
    the order of a file, and each item once, as the towers learned sets.
    """
    items, times, of = requests.history, requests.history_times.values, requests.history_kinds
    if clock == "none":
        items, of = members(items, limit, np.iinfo(np.int32).max), None
    timed = clock == "time"
    times = frozen(times if timed else np.zeros(len(items.values), np.int64), np.int64)
    known = _NO_KINDS if of is None or not kinds else frozen(of.values, np.int8)
    return PaddedHistories(*_padded(items.rows.values, times, known, items.rows.offsets, limit, timed))


_NO_KINDS = frozen(np.empty(0, dtype=np.int8))


@compiled
def _padded(items: Any, times: Any, kinds: Any, offsets: Any, limit: int, timed: bool) -> Any:
    """The parts of PaddedHistories; the gap of each event is that to the one before it that is kept. kinds:
    codes of all events, see `with_kinds`, or none."""
    n = len(offsets) - 1
    lengths, kept, width = np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64), 1
    for row in range(n):
        for position in range(offsets[row], offsets[row + 1]):
            lengths[row] += items[position] >= 0
        kept[row] = min(lengths[row], limit)
        width = max(width, kept[row])
    padded, gaps = np.zeros((n, width), dtype=np.int32), np.zeros((n, width), dtype=np.int64)
    for row in range(n):
        number, before = int(kept[row] - lengths[row]), -1
        for position in range(offsets[row], offsets[row + 1]):
            if items[position] < 0:
                continue
            if number >= 0:
                padded[row, number] = items[position]
                if timed and before >= 0:
                    gaps[row, number] = _bucket(times[position] - times[before])
                if len(kinds) > 0:
                    gaps[row, number] += GAPS * (1 + np.int64(kinds[position]))
            number, before = number + 1, position
    return padded, kept, gaps


@compiled(inner=True)
def _bucket(seconds: int) -> int:
    """1 + floor(log2(1 + seconds)), at most GAPS - 1."""
    bucket, left = 1, max(seconds, 0) + 1
    while left > 1 and bucket < GAPS - 1:
        left //= 2
        bucket += 1
    return bucket


def user_columns(specs: Mapping[str, Spec], features: Features, n: int) -> dict[str, NDArray[Any]]:
    """One array for each spec, first dimension n; a column that is not given is missing for everyone."""
    return {name: column_of(features, name, spec, n) for name, spec in specs.items()}


def column_of(features: Features, name: str, spec: Spec, n: int) -> NDArray[Any]:
    """The same of one column."""
    return np.ascontiguousarray(features[name]) if name in features else missing(spec, n)


def missing(spec: Spec, n: int) -> NDArray[Any]:
    """n missing values, as `funnel.features.encoders` encodes them."""
    if spec.kind == "category":
        return np.zeros(n, dtype=np.int32)
    if spec.kind == "multi_category":
        return np.zeros((n, spec.width), dtype=np.int32)
    out = np.zeros((n, spec.width), dtype=np.float32)
    if spec.kind == "number":
        out[:, 1] = 1.0
    return out


def input_name(column: str) -> str:
    """The name of a user column among the exported tower's inputs."""
    return f"user:{column}"


def context_name(column: str) -> str:
    """The name of a column that is known at the moment of the request among them."""
    return f"context:{column}"
