"""The inputs of the query tower, the same for training, validation and serving. Without torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.features.encoders import Spec
from funnel.features.recent import members
from funnel.types import Clock, Features, Int64, Ragged, Requests

#: Gap buckets: 0 = unknown or first event, then powers of two of seconds (the last is 17 years and more).
GAPS = 31


class PaddedHistories(NamedTuple):
    """The newest items of some requests, right-padded.

    items: int32 [B, L], 0 where padded. lengths: int64 [B]. gaps: int64 [B, L], see `gap_buckets`.
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


def histories(requests: Requests, limit: int, clock: Clock) -> PaddedHistories:
    """The last `limit` items of each request's history; rows below zero are dropped first.

    Where nothing orders them a set of at most `limit`, as `funnel.features.recent.members` has it: whatever
    the order of a file, and each item once, as the towers learned sets.
    """
    items, times = requests.history, requests.history_times
    if clock == "none":
        items = members(items, limit, np.iinfo(np.int32).max)
        times = Ragged(np.zeros(len(items.values), dtype=np.int64), items.offsets)
    if (items.values < 0).any():
        items, times = _in_catalogue(items, times)
    gaps = Ragged(gap_buckets(times, clock), items.offsets)
    lengths = np.minimum(items.lengths, limit)
    longest = max(int(lengths.max(initial=0)), 1)
    return PaddedHistories(items.last(longest, 0), lengths, gaps.last(longest, 0))


def _in_catalogue(items: Ragged, times: Ragged) -> tuple[Ragged, Ragged]:
    inside = items.values >= 0
    lengths = np.bincount(items.list_of[inside], minlength=len(items))
    kept = Ragged.from_lengths(items.values[inside], lengths)
    return kept, Ragged(times.values[inside], kept.offsets)


def user_columns(specs: Mapping[str, Spec], features: Features, n: int) -> dict[str, NDArray[Any]]:
    """One array for each spec, first dimension n; a column that is not given is missing for everyone."""
    return {
        name: np.ascontiguousarray(features[name]) if name in features else missing(spec, n)
        for name, spec in specs.items()
    }


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
