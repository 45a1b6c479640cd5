"""Writing the ads and the users of the made-up world, a chunk at a time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from funnel.synthetic.ads import draw_money
from funnel.synthetic.config import SyntheticConfig
from funnel.synthetic.lists import Shelf
from funnel.synthetic.structure import (
    COUNTRIES,
    INTERESTS,
    SEGMENTS,
    Structure,
    draw_ads,
    draw_people,
)
from funnel.synthetic.truth import LatentTruth
from funnel.types import Int32

log = logging.getLogger(__name__)

_CHUNK = 1 << 16  # ads or users at a time
_ADS, _PEOPLE, _BUYERS = 1, 2, 9  # random streams of their own, beside the structure's and the log's
_FROM_THE_START = 0.75  # share of users who are there on the first day


def write_ads(config: SyntheticConfig, structure: Structure, truth: LatentTruth, folder: Path) -> Shelf:
    """The table of ads, their truth, and the shelf that lists are drawn from."""
    folder.mkdir()
    campaign = np.empty(config.items, dtype=np.int32)
    exposure = np.empty(config.items, dtype=np.float32)
    for part, rows in enumerate(chunks(config.items, _CHUNK)):
        ads = draw_ads(
            np.random.default_rng((config.seed, _ADS, part)), structure, np.arange(rows.start, rows.stop)
        )
        truth.items[rows], truth.bias[rows] = ads.vectors, ads.bias
        campaign[rows], exposure[rows] = ads.campaign, ads.exposure
        columns = {
            "item_id": pa.array(np.arange(rows.start, rows.stop)),
            "category": words("category", structure.category[ads.campaign], len(structure.categories)),
            "campaign": words("campaign", ads.campaign, len(structure.start)),
            "advertiser": words("advertiser", structure.advertiser[ads.campaign], len(structure.advertisers)),
            "price": pa.array(ads.price.round(2)),
        }
        if config.ads is not None and truth.ads is not None:
            money = draw_money(config.ads, config.seed, part, structure, ads)
            truth.ads.category[rows] = structure.category[ads.campaign]
            truth.ads.buy[rows], truth.ads.bid[rows], truth.ads.margin[rows] = (
                money.buy,
                money.bid,
                money.margin,
            )
            columns |= {name: pa.array(getattr(money, name)) for name in ("bid", "margin", "budget")}
            columns["spent"] = pa.array(np.zeros(len(ads.price), dtype=np.float32))
        pq.write_table(pa.table(columns), folder / f"part-{part:04d}.parquet")
        log.info("ads: %d of %d", rows.stop, config.items)
    return Shelf.of(structure.category[campaign], structure.start[campaign], exposure)


@dataclass(frozen=True)
class Crowd:
    """Users in the order in which they join, as the drawing of requests needs them.

    interests: int32 [n, 3], by user row. rows: int32 [n], by day of joining. joined: int [n], those days.
    total: float64 [n + 1], running sum of activity in that order.
    """

    interests: Int32
    rows: Int32
    joined: NDArray[Any]
    total: NDArray[np.float64]

    def active(self, day: NDArray[Any] | int) -> NDArray[np.float64]:
        """The activity of all who have joined by the day."""
        return np.asarray(self.total[np.searchsorted(self.joined, day, side="right")])

    def draw(self, rng: np.random.Generator, day: int, n: int) -> Int32:
        """n users who have joined by the day, by activity."""
        positions = np.searchsorted(self.total, rng.random(n) * self.active(day), side="right") - 1
        return self.rows[np.minimum(positions, len(self.rows) - 1)]


def write_people(config: SyntheticConfig, structure: Structure, truth: LatentTruth, folder: Path) -> Crowd:
    """The table of users, their truth, and the crowd that requests are drawn from."""
    folder.mkdir()
    interests = np.empty((config.users, min(INTERESTS, len(structure.categories))), dtype=np.int32)
    activity = np.empty(config.users)
    joined = np.empty(config.users, dtype=np.int32)
    for part, rows in enumerate(chunks(config.users, _CHUNK)):
        rng = np.random.default_rng((config.seed, _PEOPLE, part))
        people = draw_people(rng, structure, rows.stop - rows.start)
        late = rng.random(len(people.age)) >= _FROM_THE_START
        joined[rows] = np.where(late, rng.integers(config.days, size=len(late)), 0)
        truth.users[rows] = people.vectors
        if truth.ads is not None:
            buyers = np.random.default_rng((config.seed, _BUYERS, part)).normal(0, 0.5, len(people.age))
            truth.ads.buyers[rows] = buyers
        interests[rows], activity[rows] = people.interests, people.activity
        columns = {
            "user_id": pa.array(np.arange(rows.start, rows.stop)),
            "segment": words("segment", people.segment, SEGMENTS),
            "country": pa.array(np.array(COUNTRIES)[people.country]),
            "age": pa.array(people.age),
        }
        pq.write_table(pa.table(columns), folder / f"part-{part:04d}.parquet")
    joined[np.argmin(joined)] = 0  # without a user on the first day there would be no request
    order = np.argsort(joined, kind="stable").astype(np.int32)
    return Crowd(interests, order, joined[order], np.append(0.0, np.cumsum(activity[order])))


def chunks(n: int, size: int) -> Iterator[slice]:
    """Slices of at most `size` that cover 0 … n − 1."""
    return (slice(start, min(start + size, n)) for start in range(0, n, size))


def words(name: str, codes: NDArray[Any], count: int) -> pa.Array:
    """`name-007` for code 7, as wide as the last of `count` codes."""
    numbers = pc.utf8_lpad(pa.array(codes).cast(pa.string()), len(str(count - 1)), "0")
    return pc.binary_join_element_wise(name, numbers, "-")
