"""Writing what happened in the made-up world, a file a day."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from funnel.synthetic.config import SyntheticConfig
from funnel.synthetic.lists import Impressions, Shelf, show
from funnel.synthetic.structure import DAY
from funnel.synthetic.tables import Crowd, chunks
from funnel.synthetic.truth import LatentTruth
from funnel.types import Int32, Int64

log = logging.getLogger(__name__)

BEGIN = 1_735_689_600  # 2025-01-01, UTC
_REQUESTS = 1 << 15  # requests at a time
_TRIED = 1 << 13  # requests that are shown and thrown away, to see how many clicks one brings
_PILOT, _DAYS = 3, 4  # random streams


def write_log(config: SyntheticConfig, truth: LatentTruth, shelf: Shelf, crowd: Crowd, folder: Path) -> None:
    """Impressions and clicks, a file a day."""
    (folder / "events").mkdir()
    (folder / "impressions").mkdir()
    wanted = config.users * config.events_per_user / _clicks_a_request(config, truth, shelf, crowd)
    active = crowd.active(np.arange(config.days))
    first = 0
    for day, mean in enumerate(wanted * active / active.sum()):
        rng = np.random.default_rng((config.seed, _DAYS, day))
        times = np.sort(rng.integers(DAY, size=rng.poisson(mean))) + day * DAY
        with (
            pq.ParquetWriter(folder / f"events/day-{day:03d}.parquet", _EVENTS) as events,
            pq.ParquetWriter(folder / f"impressions/day-{day:03d}.parquet", _IMPRESSIONS) as impressions,
        ):
            for rows in chunks(len(times), _REQUESTS):
                users = crowd.draw(rng, day, rows.stop - rows.start)
                shown = show(rng, shelf, truth, users, times[rows], crowd.interests[users], config.noise)
                clicks, lists = _rows(shown, users, times[rows] + BEGIN, first + rows.start)
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


def _rows(shown: Impressions, users: Int32, times: Int64, first: int) -> tuple[pa.Table, pa.Table]:
    """Clicks and impressions as rows. A click comes a second a position after its list."""
    request, position = np.nonzero(shown.filled)
    clicked, items = shown.clicked[request, position], shown.items[request, position]
    lists = [request + first, users[request], items, times[request], position, clicked]
    clicks = [users[request], items, times[request] + 1 + position]
    return (
        pa.table([column[clicked] for column in clicks], schema=_EVENTS),
        pa.table(lists, schema=_IMPRESSIONS),
    )
