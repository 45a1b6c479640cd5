"""Popular items at an earlier moment: those of counting every item, and no request counts every item."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from funnel.allow import Allow
from funnel.features import Statistics, past_popular
from funnel.features.counts import EventCounts
from funnel.features.kernels import bitmaps, item_lists
from funnel.features.past_popular import PastRanking
from funnel.features.popular import KEPT, Ranking
from funnel.types import Log, Ragged

DAY = 86_400
SPAN = 200


def world(n_items: int, events: int = 6_000, head: int = 300, seed: int = 0) -> Log:
    """A head of items whose events fall as 1 / rank, and one event each for all others."""
    rng = np.random.default_rng(seed)
    chance = 1 / np.arange(1, head + 1)
    items = rng.choice(head, events, p=chance / chance.sum())
    items = np.concatenate([rng.permutation(n_items)[:head][items], np.arange(n_items)]).astype(np.int32)
    times = np.sort(rng.integers(0, SPAN * DAY, len(items)))
    users = rng.integers(0, 50, len(items)).astype(np.int32)
    return Log(users, rng.permutation(items), times, 50, n_items, "time")


LOG = world(1_500)
FITTED = Statistics.fit(LOG, LOG)


def served(statistics: Statistics = FITTED) -> tuple[Statistics, list[Callable[[], object]]]:
    """What serves, and what it has to be done later."""
    waiting: list[Callable[[], object]] = []
    return statistics.serving(statistics.n_items, waiting.append), waiting


@pytest.mark.parametrize("window", FITTED.windows)
@pytest.mark.parametrize("k", [1, 20, 2_000])
def test_it_is_what_counting_every_item_gives(window: int | None, k: int) -> None:
    rng = np.random.default_rng(1)
    exclude = Ragged.from_lists([rng.integers(-1, LOG.n_items, n) for n in (0, 3, 200)])
    masks = rng.random((3, LOG.n_items)) < np.array([[1.0], [0.5], [0.01]])
    live, _ = served()
    live.observe(np.full(500, 7), np.full(500, live.end + 10))  # changes nothing that was
    for day in (-5, 0, 1, 17, 120, SPAN - 2):
        times = np.full(3, day * DAY + 5)
        for allow in (None, Allow.of(masks)):
            found = live.most_popular(times, k, window, exclude=exclude, allow=allow)
            expected = FITTED.most_popular(times, k, window, exclude=exclude, allow=allow)
            np.testing.assert_array_equal(found, expected)


def test_no_request_waits_for_the_ranking_of_an_earlier_day(monkeypatch: pytest.MonkeyPatch) -> None:
    computed: list[int] = []
    usual = Ranking.of

    def counted(events: EventCounts, time: int, window: int | None) -> Ranking:
        computed.append(time // DAY)
        return usual(events, time, window)

    live, waiting = served()
    live.popular(live.end, 5)
    monkeypatch.setattr(Ranking, "of", counted)
    for day in range(3, 60):
        live.popular(day * DAY, 5)
    assert (computed, len(waiting)) == ([], 1)  # one at a time
    waiting.pop()()
    assert computed == [3]
    exact = live.rankings.at(3 * DAY, None)
    assert isinstance(exact, Ranking)
    for day in range(60, 90):
        live.popular(day * DAY, 5)
        while waiting:
            waiting.pop()()
    assert len(live.rankings) == KEPT
    live.most_popular(np.full(1_000, 95 * DAY), 5)  # many of one day share its ranking
    assert computed[-1] == 95
    assert len(live.rankings) == KEPT


def counted(log: Log, k: int, window: int | None = None) -> int:
    """Items that one request in the middle of the log counts."""
    events = EventCounts.build(log.items, log.times, log.n_items)
    every = Ranking.of(events, events.end, None)
    ranking = PastRanking(every.items, every.counts, events, SPAN // 2 * DAY, window)
    rows = np.full((1, k), -1, dtype=np.int32)
    one = np.zeros(1, dtype=np.int64)
    return ranking.pick(one, item_lists(None, 1), bitmaps(None), rows, np.zeros((1, k), dtype=np.float32))


@pytest.mark.parametrize("window", [None, 20 * DAY])
def test_what_is_counted_does_not_grow_with_the_catalogue(window: int | None) -> None:
    few, many = (counted(world(n), 20, window) for n in (1_000, 100_000))
    assert 20 <= few <= 300
    assert many <= 300


def test_a_catalogue_without_a_head_is_counted_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """All items have about as many events: the best of those counted stand for the best of all."""
    flat = world(50_000, events=0)
    assert counted(flat, 20) == past_popular.MOST
    statistics = Statistics.fit(flat, flat, windows=(None,))
    live, waiting = served(statistics)
    found = live.popular(SPAN // 2 * DAY, 20)
    assert len(set(found.tolist())) == 20
    assert (live.counts(found, np.full(20, SPAN // 2 * DAY)) == 1).all()
    waiting.pop()()
    assert live.popular(SPAN // 2 * DAY, 20).tolist() == statistics.popular(SPAN // 2 * DAY, 20).tolist()
