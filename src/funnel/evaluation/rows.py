"""One row of the report: a competitor or a stage, and everything known about its lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel import plugins
from funnel.evaluation.bootstrap import intervals
from funnel.evaluation.catalogue import Popularity, coverage, popularity_bias
from funnel.evaluation.metrics import Float64, Metric, checked, of_places, recall, sum_by
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
    """Milliseconds of one request asked alone, as percentiles over the asked sample."""

    p50: float
    p95: float
    p99: float

    @classmethod
    def of(cls, seconds: Float64) -> Latency:
        """seconds: float64 [n], a request each."""
        p50, p95, p99 = (float(1000 * np.percentile(seconds, q)) for q in (50, 95, 99))
        return cls(p50=p50, p95=p95, p99=p99)


class Row(Settings):
    """A row. Means are over requests; k is the report's first."""

    name: str
    kind: Kind
    candidates_in: float  #: mean number of items that it chose from
    candidates_out: float  #: mean number of items left
    found: int  #: targets among them, over all requests
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
    latency: Latency | None
    throughput: float  #: requests a second in batches


def row_values(
    places: Ragged, ks: Sequence[int], width: int, also: Mapping[str, Metric] | None = None
) -> dict[str, Float64]:
    """Everything that a row is measured by, request by request: name -> float64 [B].

    All of funnel's metrics, and `also` these, at the first k; NDCG and recall deeper down,

    as far as the row is wide; and "recall", that of
    the whole list. places: of the targets. A depth beyond the width would repeat the figure before.
    """
    k, *deeper = ks
    names = [f"{metric}@{k}" for metric in plugins.names("metric", own=True)]
    names += [f"{metric}@{depth}" for depth in deeper if depth <= width for metric in ("ndcg", "recall")]
    values = {name: of_places(name, places) for name in names}
    for name, metric in (also or {}).items():
        values[f"{name}@{k}"] = checked(name, metric(places, k), len(places))
    return values | {_ALL: of_places(f"recall@{max(width, 1)}", places)}


def with_intervals(
    values: Mapping[str, Mapping[str, Float64]], users: NDArray[Any], *, seed: int, resamples: int
) -> dict[str, dict[str, Value]]:
    """The means by row and metric; resampled by user, all rows and metrics on the same resamples."""
    columns = [(row, name, each) for row, named in values.items() for name, each in named.items()]
    table = np.column_stack([each for _, _, each in columns])
    bounds = intervals(table, users, seed=seed, resamples=resamples)
    found: dict[str, dict[str, Value]] = {row: {} for row in values}
    for (row, name, each), lo, hi in zip(columns, *bounds, strict=True):
        found[row][name] = Value(mean=float(each.mean()), lo=float(lo), hi=float(hi))
    return found


def make_rows(
    shown: Sequence[RowTally],
    *,
    places: Mapping[str, Ragged],
    values: Mapping[str, Mapping[str, Value]],
    popularity: NDArray[Any],
    seconds: Sequence[Float64],
) -> list[Row]:
    """The rows of what was shown, in its order.

    places, values: by row. popularity: [n_items]. seconds: [n] a row, single requests; empty if not timed.
    """
    ideal = next((one for one in shown if one.kind == "ideal"), None)
    return [
        _row(
            one,
            before=before if before and before.kind == one.kind == "stage" else None,
            places=places[one.name],
            values=values[one.name],
            popularity=popularity,
            ideal=ideal,
            seconds=clock,
        )
        for before, one, clock in zip([None, *shown[:-1]], shown, seconds, strict=True)
    ]


def _row(
    shown: RowTally,
    *,
    before: RowTally | None,
    places: Ragged,
    values: Mapping[str, Value],
    popularity: NDArray[Any],
    ideal: RowTally | None,
    seconds: Float64,
) -> Row:
    """before: the stage in front; None where the row chooses from the whole catalogue."""
    had = before.all_places(places.offsets).values >= 0 if before else np.ones(len(places.values), np.bool_)
    metrics = {name: value for name, value in values.items() if name != _ALL}
    return Row(
        name=shown.name,
        kind=shown.kind,
        candidates_in=float(before.candidates.mean()) if before else float(shown.n_items),
        candidates_out=float(shown.candidates.mean()),
        found=int((places.values >= 0).sum()),
        lost=int((had & (places.values < 0)).sum()) if shown.kind == "stage" else None,
        metrics=metrics,
        recall=values[_ALL],
        auc=order_auc(places, shown.candidates),
        coverage=coverage(shown.exposure),
        popularity=popularity_bias(shown.exposure, popularity),
        curve=curve(places, shown.width),
        share_of_ideal=shown.share_of(ideal) if ideal else None,
        latency=Latency.of(seconds) if len(seconds) else None,
        throughput=len(shown.candidates) / max(shown.seconds, 1e-9),
    )


def curve(places: Ragged, width: int, points: int = 40) -> dict[int, float]:
    """Mean recall at depths from 1 to the width, evenly on a logarithmic scale."""
    depths = np.unique(np.geomspace(1, max(width, 1), points).round().astype(np.int64))
    return {int(k): float(recall(places, int(k)).mean()) for k in depths}


def order_auc(places: Ragged, filled: Int64) -> float | None:
    """The chance that a target stands before another item of its list, as a mean over the lists that tell.

    The area under the ROC curve, read off the places: a target at place p behind j targets has p − j others
    in front of it. filled: items a list, [B]. None where no list has both.
    """
    hit = places.values >= 0
    hits = sum_by(places.list_of, hit, len(places))
    place = sum_by(places.list_of, np.where(hit, places.values, 0), len(places))
    pairs = hits * (filled - hits)
    if not (pairs > 0).any():
        return None
    in_front = place - hits * (hits - 1) / 2
    return float(np.mean(1 - in_front[pairs > 0] / pairs[pairs > 0]))
