"""What a world of ads has beside tastes: moments that matter, purchases, and money.

A request is made at a moment: a placement, a device, and an hour. Each moves the logit of a click, by
category. A click may be followed by a purchase, whose logit is the ad's and the user's; ads that are clicked
for their show are bought less. An ad has a bid for a click and a margin of a purchase, a campaign a budget.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from funnel.synthetic.config import AdsConfig
from funnel.synthetic.structure import Ads, Structure
from funnel.types import Float32, Int32, Int64

HOUR = 3_600
DEVICES = ("phone", "desktop", "tablet")

#: Devices and hours move a click's logit by so much of what placements do.
_LESS = 0.5
_PHONES_LATE, _PHONES = (0.7, 0.2, 0.1), (0.35, 0.55, 0.1)  # of an evening, and else
_SHOW = 0.5  # how far a bought ad's logit falls with what makes it clicked
_ODD, _EVEN = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9)


class Moment(NamedTuple):
    """Codes of when and where requests are made: int64 [B] each."""

    placement: Int64
    device: Int64
    hour: Int64


@dataclass(frozen=True, eq=False)
class AdsTruth:
    """The numbers that moments, purchases and money were drawn from.

    placements: float32 [P, C], devices: float32 [3, C], hours: float32 [24, C], what each adds to the logit
    of a click by category. category: int32 [n_items]. buy: float32 [n_items], the logit of a purchase after a
    click; buyers: float32 [n_users], added to it. bid, margin: float32 [n_items]. commission: float32 [1],
    the share of a purchase's margin that is earned. seed: int64 [1], of the moments.
    """

    placements: Float32
    devices: Float32
    hours: Float32
    category: Int32
    buy: Float32
    buyers: Float32
    bid: Float32
    margin: Float32
    commission: Float32
    seed: Int64

    def moment(self, users: NDArray[Any], times: NDArray[Any]) -> Moment:
        """Where users are: one moment an hour of the log. users: rows [B]; times: seconds [B]."""
        hours = np.asarray(times, dtype=np.int64) // HOUR
        drawn = _mixed(np.asarray(users, dtype=np.int64), hours, int(self.seed[0]))
        hour = hours % 24
        share = np.where((hour >= 18)[:, None], _PHONES_LATE, _PHONES).cumsum(axis=1)
        device = (drawn[1][:, None] >= share[:, :2]).sum(axis=1)
        return Moment((drawn[0] * len(self.placements)).astype(np.int64), device, hour)

    def lifts(self, users: NDArray[Any], times: NDArray[Any]) -> Float32:
        """What the moments of requests add to a click's logit by category: float32 [B, C]."""
        at = self.moment(users, times)
        return self.placements[at.placement] + self.devices[at.device] + self.hours[at.hour]

    def bought(self, users: NDArray[Any], items: NDArray[Any]) -> NDArray[np.float64]:
        """The probability that a click is followed by a purchase; users and items of one shape."""
        return 1 / (1 + np.exp(-(self.buy[items].astype(np.float64) + self.buyers[users])))

    def worth(self, users: NDArray[Any]) -> Float32:
        """What a click of these users [B] on each item is worth: float32 [B, n_items]."""
        chance = 1 / (1 + np.exp(-(self.buy[None, :] + self.buyers[users][:, None])))
        return (self.bid + self.commission * self.margin * chance).astype(np.float32)

    @classmethod
    def create(cls, folder: Path, config: AdsConfig, seed: int, sizes: tuple[int, int, int]) -> AdsTruth:
        """`.npy` files whose rows of users and items are to be filled in place. sizes: of users, items and
        categories."""
        folder.mkdir()
        users, items, categories = sizes
        rng = np.random.default_rng((seed, 6))
        drawn = {
            "placements": config.context * rng.standard_normal((config.placements, categories)),
            "devices": _LESS * config.context * rng.standard_normal((len(DEVICES), categories)),
            "hours": _LESS * config.context * _smooth(rng.standard_normal((24, categories))),
            "commission": np.array([config.commission]),
        }
        np.save(folder / "seed.npy", np.array([seed], dtype=np.int64), allow_pickle=False)
        for name, values in drawn.items():
            np.save(folder / f"{name}.npy", values.astype(np.float32), allow_pickle=False)
        for name in ("category", "buy", "bid", "margin", "buyers"):
            kind = np.int32 if name == "category" else np.float32
            shape = (users if name == "buyers" else items,)
            np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype=kind, shape=shape)
        return cls.load(folder, "r+")

    @classmethod
    def load(cls, folder: Path, mode: Any = "r") -> AdsTruth:
        """From the `.npy` files, mapped and not read."""
        return cls(
            *(
                np.load(folder / f"{part.name}.npy", mmap_mode=mode, allow_pickle=False)
                for part in fields(cls)
            )
        )


@dataclass(frozen=True)
class Money:
    """Of some ads: bid, margin, logit of a purchase, and their campaigns' budget: float32 [n] each."""

    bid: Float32
    margin: Float32
    buy: Float32
    budget: Float32


def draw_money(config: AdsConfig, seed: int, part: int, structure: Structure, ads: Ads) -> Money:
    """Bids and budgets are the campaign's, with a little of the ad's own; the same for the same arguments."""
    of_campaign = np.random.default_rng((seed, 7))
    n = len(structure.start)
    bid = config.bid * of_campaign.lognormal(-0.18, 0.6, n)
    budget = config.budget * of_campaign.lognormal(-0.32, 0.8, n)
    rng = np.random.default_rng((seed, 8, part))
    size = len(ads.campaign)
    show = ads.bias - float(np.mean(ads.bias))
    logit = np.log(config.purchases / (1 - config.purchases)) - _SHOW * show + rng.normal(0, 1, size)
    return Money(
        bid=(bid[ads.campaign] * rng.lognormal(-0.02, 0.2, size)).round(4).astype(np.float32),
        margin=(ads.price * rng.uniform(0.1, 0.5, size)).round(2).astype(np.float32),
        buy=logit.astype(np.float32),
        budget=budget[ads.campaign].round(2).astype(np.float32),
    )


def within_an_hour(times: Int64) -> Int64:
    """Times moved so that what follows within ten minutes is in the same hour, whose moment it shares."""
    return times - np.maximum(0, times % HOUR - (HOUR - 601))


def _smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Over the hours of a day, each with three on either side; of the same spread."""
    near = sum(np.roll(values, shift, axis=0) for shift in range(-3, 4))
    return np.asarray(near / np.sqrt(7))


def _mixed(users: Int64, hours: Int64, seed: int) -> NDArray[np.float64]:
    """Two numbers of 0…1 for each user and hour: float64 [2, B] (splitmix64)."""
    out = []
    for number in range(2):
        value = users.astype(np.uint64) * _ODD + hours.astype(np.uint64) * _EVEN
        value += np.uint64((seed * 2 + number + 1) * 0x94D049BB133111EB % 2**64)
        value = (value ^ (value >> np.uint64(30))) * _EVEN
        value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        value ^= value >> np.uint64(31)
        out.append((value >> np.uint64(11)) * 2.0**-53)
    return np.array(out)
