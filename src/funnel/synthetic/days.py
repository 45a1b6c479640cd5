"""Writing what happened in the made-up world, a file a day."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from funnel.synthetic.ads import DEVICES, AdsTruth, within_an_hour
from funnel.synthetic.config import SyntheticConfig
from funnel.synthetic.lists import BEGIN, Impressions, Shelf, show
from funnel.synthetic.structure import DAY
from funnel.synthetic.tables import Crowd, chunks, words
from funnel.synthetic.truth import LatentTruth
from funnel.types import Int32, Int64

log = logging.getLogger(__name__)

_REQUESTS = 1 << 15  # requests at a time
_TRIED = 1 << 13  # requests that are shown and thrown away, to see how many clicks one brings
_PILOT, _DAYS, _PURCHASES = 3, 4, 5  # random streams


def write_log(config: SyntheticConfig, truth: LatentTruth, shelf: Shelf, crowd: Crowd, folder: Path) -> None:
    """Impressions and clicks, a file a day."""
    (folder / "events").mkdir()
    (folder / "impressions").mkdir()
    wanted = config.users * config.events_per_user / _clicks_a_request(config, truth, shelf, crowd)
    active = crowd.active(np.arange(config.days))
    first, schemas = 0, _schemas(truth)
    for day, mean in enumerate(wanted * active / active.sum()):
        rng = np.random.default_rng((config.seed, _DAYS, day))
        purchases = np.random.default_rng((config.seed, _PURCHASES, day))
        times = np.sort(rng.integers(DAY, size=rng.poisson(mean))) + day * DAY
        times = times if truth.ads is None else within_an_hour(times)
        with (
            pq.ParquetWriter(folder / f"events/day-{day:03d}.parquet", schemas[0]) as events,
            pq.ParquetWriter(folder / f"impressions/day-{day:03d}.parquet", schemas[1]) as impressions,
        ):
            for rows in chunks(len(times), _REQUESTS):
                users = crowd.draw(rng, day, rows.stop - rows.start)
                shown = show(rng, shelf, truth, users, times[rows], crowd.interests[users], config.noise)
                clicks, lists = _rows(shown, users, times[rows] + BEGIN, first + rows.start, truth, purchases)
                events.write_table(clicks)
                impressions.write_table(lists)
        first += len(times)
        log.info("day %d of %d: %d requests", day + 1, config.days, len(times))


def _clicks_a_request(config: SyntheticConfig, truth: LatentTruth, shelf: Shelf, crowd: Crowd) -> float:
    rng = np.random.default_rng((config.seed, _PILOT))
    users = crowd.draw(rng, config.days, _TRIED)
    times = rng.integers(config.days * DAY, size=_TRIED)
    shown = show(rng, shelf, truth, users, times, crowd.interests[users], config.noise)
    return max(float(shown.clicked.sum()), 1.0) / _TRIED


_EVENTS = pa.schema([("user_id", pa.int64()), ("item_id", pa.int64()), ("time", pa.int64())])
_IMPRESSIONS = pa.schema(
    [
        ("request_id", pa.int64()),
        ("user_id", pa.int64()),
        ("item_id", pa.int64()),
        ("time", pa.int64()),
        ("position", pa.int32()),
        ("clicked", pa.bool_()),
    ]
)
_MOMENT = [pa.field("placement", pa.string()), pa.field("device", pa.string())]
_KIND = [pa.field("kind", pa.string()), pa.field("value", pa.float32())]


def _schemas(truth: LatentTruth) -> tuple[pa.Schema, pa.Schema]:
    """Of events and impressions."""
    if truth.ads is None:
        return _EVENTS, _IMPRESSIONS
    return pa.schema([*_EVENTS, *_KIND, *_MOMENT]), pa.schema([*_IMPRESSIONS, *_MOMENT])


def _rows(
    shown: Impressions, users: Int32, times: Int64, first: int, truth: LatentTruth, rng: np.random.Generator
) -> tuple[pa.Table, pa.Table]:
    """What happened and impressions as rows. A click comes a second a position after its list. rng: of
    purchases."""
    request, position = np.nonzero(shown.filled)
    clicked, items = shown.clicked[request, position], shown.items[request, position]
    lists = [request + first, users[request], items, times[request], position, clicked]
    clicks = [column[clicked] for column in (users[request], items, times[request] + 1 + position)]
    events, impressions = _schemas(truth)
    if truth.ads is not None:
        lists += _words_of(truth.ads, users[request], times[request])
        clicks = with_purchases(truth.ads, clicks, rng)
        clicks += _words_of(truth.ads, clicks[0], clicks[2])
    return pa.table(clicks, schema=events), pa.table(lists, schema=impressions)


def with_purchases(
    ads: AdsTruth, clicks: Sequence[NDArray[Any]], rng: np.random.Generator
) -> list[NDArray[Any]]:
    """Clicks (users, items, times) and, one to nine minutes after some of them, purchases: users, items,
    times, kinds and values. A click is worth its bid, a purchase the part of the margin that is earned."""
    users, items, times = clicks
    bought = rng.random(len(users)) < ads.bought(users, items)
    later = times[bought] + rng.integers(60, 540, size=int(bought.sum()))
    earned = ads.commission[0] * ads.margin[items[bought]]
    return [
        np.concatenate([users, users[bought]]),
        np.concatenate([items, items[bought]]),
        np.concatenate([times, later]),
        np.repeat(["click", "purchase"], [len(users), len(later)]),
        np.concatenate([ads.bid[items], earned]).astype(np.float32),
    ]


def _words_of(ads: AdsTruth, users: NDArray[Any], times: NDArray[Any]) -> list[Any]:
    """Columns placement and device of the moments of some rows."""
    at = ads.moment(users, times)
    return [words("placement", at.placement, len(ads.placements)), np.array(DEVICES)[at.device]]
