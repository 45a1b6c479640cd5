"""What a service costs at a number of items and requests, from what was measured: bytes, work, machines.

An index is cut into shards of at most as many items as were measured; a machine holds as many as its memory
does, and a group of machines holds all items once. By rows, a request is work of every shard. By lists, it is
work of the machines that hold the lists nearest to it, which is less in all and uneven.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from funnel.index.auto import inverted_lists
from funnel.vectors import Form
from funnel.vectors.coding import row_bytes

RESULTS = Path(__file__).parent / "results"
GIB = float(1 << 30)


@dataclass(frozen=True)
class Search:
    """Parts of a search of one thread, microseconds, each measured by itself.

    start: what every search takes. centre: comparing with a centre of a list. code: scanning a code.
    candidate: scoring a candidate again, at random. k, k_factor, probes: of the measured index, whose items
    are `items`. growth: the power of the items that the codes scanned at one recall grow with.
    """

    start: float
    centre: float
    code: float
    candidate: float
    k: int
    k_factor: int
    probes: int
    items: int
    growth: float = 1.0

    def codes(self, items: int) -> float:
        """That a search of so many items scans."""
        measured = self.items * self.probes / inverted_lists(self.items)
        return min(items, measured * (items / self.items) ** self.growth)

    def microseconds(self, items: int) -> float:
        """Of an index of so many items, at the measured one's recall."""
        again = self.candidate * self.k * self.k_factor
        return self.start + self.centre * inverted_lists(items) + self.code * self.codes(items) + again


@dataclass(frozen=True)
class Measured:
    """The content of results/plan-measured.json.

    bytes_item: of each part of a bundle beside the vectors. d: numbers of a vector. other: microseconds of a
    request beside the search of the index. shape: quantiles of a request's time as parts of its mean, as
    (share, times) from 0 to 1. probes: how often each list was probed, falling. largest: items of a shard
    that was measured. build: seconds an item of a nightly rebuild, by step, on `build_cores` cores.
    """

    d: int
    bytes_item: Mapping[str, float]
    bytes_event: float
    search: Search
    other: float
    shape: list[tuple[float, float]]
    probes: list[int]
    largest: int
    build: Mapping[str, float]
    build_cores: int = 2
    train: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path = RESULTS / "plan-measured.json") -> Measured:
        raw: dict[str, Any] = json.loads(path.read_text())
        kept = {name: raw[name] for name in cls.__dataclass_fields__ if name in raw}
        shape = [(share, times) for share, times in raw["shape"]]
        search = {name: raw["search"][name] for name in Search.__dataclass_fields__}
        return cls(**{**kept, "search": Search(**search), "shape": shape})


@dataclass(frozen=True)
class Assumed:
    """What nobody measured here: a machine, a network, and how busy a core may be.

    memory: GiB that a machine may fill. trip: microseconds there and back between two machines. stragglers:
    the share of a machine's answers that wait for something else, and `pause` microseconds more that they
    take. gbits: of a machine's network.
    """

    cores: int = 16
    memory: float = 56.0
    busy: float = 0.6
    trip: float = 200.0
    stragglers: float = 0.005
    pause: float = 10_000.0
    gbits: float = 10.0


@dataclass(frozen=True)
class Layout:
    """How items lie on machines. shards: of the index. machines: that hold all items once. a_machine: shards
    on one of them. items: of a shard."""

    shards: int
    machines: int
    items: int

    @property
    def a_machine(self) -> int:
        return math.ceil(self.shards / self.machines)


def bytes_an_item(measured: Measured, form: Form) -> dict[str, float]:
    """Of each part of a bundle, with vectors of a form."""
    return {"vectors": row_bytes(form, measured.d), **measured.bytes_item}


def layout(measured: Measured, items: int, form: Form, assumed: Assumed) -> Layout:
    """Shards as large as were measured at most, and as few machines as hold them."""
    shards = max(1, math.ceil(items / measured.largest))
    whole = items * sum(bytes_an_item(measured, form).values()) / GIB
    machines = min(max(1, math.ceil(whole / assumed.memory)), items)
    return Layout(max(shards, machines), machines, math.ceil(items / max(shards, machines)))


@dataclass(frozen=True)
class Work:
    """Microseconds of one thread that a request takes. shard: of each shard that it visits; whole: of all."""

    shard: float
    visited: float
    other: float

    @property
    def whole(self) -> float:
        return self.shard * self.visited + self.other


def by_rows(measured: Measured, laid: Layout) -> Work:
    """A request searches every shard."""
    return Work(measured.search.microseconds(laid.items), laid.shards, measured.other)


def by_lists(measured: Measured, laid: Layout, items: int, seed: int = 0) -> tuple[Work, float]:
    """A request is one search of one index of all items, whose lists are dealt to the machines; and how many
    times the mean the busiest machine works, with lists as often probed as was measured.

    Lists are as long as the measured ones. Codes grow with all items, and not with each shard's; what is
    found is scored again once and not once a shard. Centres are found by a search of their own: a quantiser
    of two levels reads about twice the root of their number.
    """
    search = measured.search
    length = search.items / inverted_lists(search.items)
    lists, probes = max(1, round(items / length)), max(1, round(search.codes(items) / length))
    visited = laid.machines * (1 - (1 - 1 / laid.machines) ** probes)
    scanned = search.code * search.codes(items) + search.candidate * search.k * search.k_factor
    centres = search.centre * 2 * math.sqrt(lists)
    hot = hottest(measured.probes, lists, laid.machines, seed)
    return Work(search.start + scanned / visited, visited, measured.other + centres), hot


def hottest(probes: list[int], lists: int, machines: int, seed: int = 0) -> float:
    """The share of the work of the busiest of some machines, as times the mean: lists are dealt by chance,
    each as often probed as one of the measured ones."""
    rng = np.random.default_rng(seed)
    load = rng.permutation(np.resize(np.asarray(probes, dtype=np.float64), lists))
    each = np.bincount(np.arange(lists) % machines, weights=load, minlength=machines)
    return float(each.max() / each.mean())


def needed(group: int, work: float, qps: float, assumed: Assumed, hot: float = 1.0) -> int:
    """Machines: whole groups of so many, two at least, and enough that no core is busier than it may be. hot:
    times the mean that the busiest machine works."""
    cores = qps * work * hot / 1e6 / assumed.busy
    return max(2, math.ceil(cores / assumed.cores / group)) * group


def quantile(shape: list[tuple[float, float]], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Times of the mean at some shares, straight between what was measured."""
    at, times = np.array(shape).T
    return np.interp(shares, at, times)
