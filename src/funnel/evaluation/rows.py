"""The rows of a report: every figure of a competitor's or a stage's lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AliasChoices, Field

from funnel import plugins
from funnel.evaluation.bootstrap import intervals
from funnel.evaluation.catalogue import Popularity, coverage, popularity_bias
from funnel.evaluation.metrics import Float64, Metric, checked, of_positions, recall, sum_by
from funnel.evaluation.walk import Kind, RowTally
from funnel.settings import Settings
from funnel.types import Int64, Ragged

_ALL = "recall"  # of the whole list, beside "recall@k"


class Value(Settings):
    """A mean over requests and its bootstrap interval."""

    mean: float
    lo: float
    hi: float


class Latency(Settings):
    """Milliseconds of a request on its own, as percentiles over a sample of requests."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Float64) -> Latency:
        """From seconds: float64 [n], a request each."""
        p50, p95, p99 = (float(1000 * np.percentile(seconds, q)) for q in (50, 95, 99))
        return cls(p50=p50, p95=p95, p99=p99)


class Row(Settings):
    """A row of the report: a competitor or a stage. Means are over requests; k is the report's first."""

    name: str
    kind: Kind
    candidates_in: float  #: mean number of items that it chose from
    candidates_out: float  #: mean number of items left
    #: targets among them, over all requests; "found" in reports of earlier versions
    hits: int = Field(validation_alias=AliasChoices("hits", "found"))
    lost: int | None  #: targets among the stage's input and not its output; only for stages
    metrics: dict[str, Value]  #: by name, e.g. "ndcg@10"
    recall: Value  #: of the whole list, however wide it is
    auc: (
        float | None
    )  #: mean AUC of its order within its own lists, over those with a target and a non-target
    coverage: float  #: share of the catalogue in someone's first k
    popularity: Popularity  #: of the first k
    curve: dict[int, float]  #: mean recall by depth, up to its width
    share_of_ideal: float | None  #: NDCG@k with the true chance of a click as gain, where it is known
    #: Of the first k of a request, by the bundle's own `[rank] value`; None where nothing is ordered by it
    expected_value: float | None = None
    share_of_value: float | None = (
        None  #: the same by what items truly earn, of the most that a list may have
    )
    latency: Latency | None
    throughput: float  #: requests a second in batches


def row_values(
    positions: Ragged, ks: Sequence[int], width: int, also: Mapping[str, Metric] | None = None
) -> dict[str, Float64]:
    """Every metric of a row, request by request: name -> float64 [B].

    positions: of the targets, a list a request. ks: depths. width: the length of the row's longest list.
    At the first k these are all of funnel's metrics and those in `also`; at the deeper ones NDCG and recall,
    up to the width, since a deeper one would repeat the figure before. "recall" is that of the whole list.
    """
    k, *deeper = ks
    names = [f"{metric}@{k}" for metric in plugins.names("metric", own=True)]
    names += [f"{metric}@{depth}" for depth in deeper if depth <= width for metric in ("ndcg", "recall")]
    values = {name: of_positions(name, positions) for name in names}
    for name, metric in (also or {}).items():
        values[f"{name}@{k}"] = checked(name, metric(positions, k), len(positions))
    return values | {_ALL: of_positions(f"recall@{max(width, 1)}", positions)}


def with_intervals(
    values: Mapping[str, Mapping[str, Float64]], users: NDArray[Any], *, seed: int, resamples: int
) -> dict[str, dict[str, Value]]:
    """The mean and its interval by row and metric. Users are resampled, the same ones for all rows.

    values: by row and metric, float64 [B]. users: int32 [B].
    """
    columns = [(row, name, each) for row, named in values.items() for name, each in named.items()]
    table = np.column_stack([each for _, _, each in columns])
    bounds = intervals(table, users, seed=seed, resamples=resamples)
    result: dict[str, dict[str, Value]] = {row: {} for row in values}
    for (row, name, each), lo, hi in zip(columns, *bounds, strict=True):
        result[row][name] = Value(mean=float(each.mean()), lo=float(lo), hi=float(hi))
    return result


def make_rows(
    shown: Sequence[RowTally],
    *,
    positions: Mapping[str, Ragged],
    values: Mapping[str, Mapping[str, Value]],
    popularity: NDArray[Any],
    seconds: Sequence[Float64],
) -> list[Row]:
    """A row of the report for each tally, in the same order.

    positions, values: by row. popularity: [n_items], events of each item. seconds: a row each, float64 [n] of
    requests timed alone; empty where it was not timed.
    """
    ideal = next((tally for tally in shown if tally.kind == "ideal"), None)
    return [
        _row(
            tally,
            before=before if before and before.kind == tally.kind == "stage" else None,
            positions=positions[tally.name],
            values=values[tally.name],
            popularity=popularity,
            ideal=ideal,
            seconds=clock,
        )
        for before, tally, clock in zip([None, *shown[:-1]], shown, seconds, strict=True)
    ]


def _row(
    shown: RowTally,
    *,
    before: RowTally | None,
    positions: Ragged,
    values: Mapping[str, Value],
    popularity: NDArray[Any],
    ideal: RowTally | None,
    seconds: Float64,
) -> Row:
    """One row. before: the stage in front; None where the row chooses from the whole catalogue."""
    every = np.ones(len(positions.values), dtype=np.bool_)
    had = before.all_positions(positions.offsets).values >= 0 if before else every
    metrics = {name: value for name, value in values.items() if name != _ALL}
    return Row(
        name=shown.name,
        kind=shown.kind,
        candidates_in=float(before.candidates.mean()) if before else float(shown.n_items),
        candidates_out=float(shown.candidates.mean()),
        hits=int((positions.values >= 0).sum()),
        lost=int((had & (positions.values < 0)).sum()) if shown.kind == "stage" else None,
        metrics=metrics,
        recall=values[_ALL],
        auc=order_auc(positions, shown.candidates),
        coverage=coverage(shown.exposure),
        popularity=popularity_bias(shown.exposure, popularity),
        curve=curve(positions, shown.width),
        share_of_ideal=shown.share_of(ideal) if ideal else None,
        share_of_value=shown.share_of_value,
        latency=Latency.of(seconds) if len(seconds) else None,
        throughput=len(shown.candidates) / max(shown.seconds, 1e-9),
    )


def curve(positions: Ragged, width: int, points: int = 40) -> dict[int, float]:
    """Mean recall by depth: at most `points` depths from 1 to the width, evenly on a logarithmic scale."""
    depths = np.unique(np.geomspace(1, max(width, 1), points).round().astype(np.int64))
    return {int(k): float(recall(positions, int(k)).mean()) for k in depths}


def order_auc(positions: Ragged, filled: Int64) -> float | None:
    """The mean area under the ROC curve of each list's order; None where no list has both.

    It is the chance that a target stands before another item. A target at position p with j targets
    before it has p − j other items before it. filled: int64 [B], items of each list.
    """
    hit = positions.values >= 0
    hits = sum_by(positions.list_of, hit, len(positions))
    position_sum = sum_by(positions.list_of, np.where(hit, positions.values, 0), len(positions))
    pairs = hits * (filled - hits)
    if not (pairs > 0).any():
        return None
    in_front = position_sum - hits * (hits - 1) / 2
    return float(np.mean(1 - in_front[pairs > 0] / pairs[pairs > 0]))
