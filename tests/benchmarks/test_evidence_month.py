"""A month that is drawn from real answers: the sums are those of counting answers one by one, and so are the
alarms; and chance is what it is said to be."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from benchmarks.evidence import _hours
from benchmarks.evidence._calendar import AFTERNOONS, CAMPAIGNS, DAYS, hour_of
from benchmarks.evidence._drawn import Day, Draws, drawn, factors
from benchmarks.evidence._looks import Looks
from benchmarks.evidence._pool import POSITIONS, Pool, pool_of
from benchmarks.evidence._watching import Hour
from benchmarks.evidence.calm import AGES, VERSIONS, between
from funnel.impressions.record import Impression
from funnel.monitoring.counting import AnswerEvent, Counting, Remade
from funnel.monitoring.counts import Counts, Variable
from funnel.monitoring.edges import Bins, NameBins
from funnel.monitoring.measures import Measures
from funnel.monitoring.monitor import Monitor

USERS, ITEMS, SETTLE, REPLAY = 20, 50, 120.0, 30
MEASURES = Measures(
    version="v",
    top=Bins((0.5, 1.0)),
    spread=Bins((0.2, 0.4)),
    features={"price": Bins((1.0, 2.0, 3.0)), "age": Bins((10.0,))},
    context={"budget": Bins((15.0, 30.0, 60.0)), "device": NameBins(("phone", "desktop"))},
    popularity=(np.arange(ITEMS) % 10).astype(np.int8),
    head=lambda scores: 0.05 + 0.1 * np.abs(scores),  # type: ignore[arg-type]
    sources=("towers",),
)


def row(item: int) -> int:
    return item if item < ITEMS else -1


def impression(rng: np.random.Generator, number: int, budget: float) -> Impression:
    n = int(rng.integers(0, 13)) if rng.random() < 0.1 else 12
    shown = tuple(rng.permutation(n)[:POSITIONS].tolist())
    context = {"budget": None if rng.random() < 0.1 else float(budget * rng.lognormal(0, 0.5)),
               "device": ("phone", "desktop", "watch")[number % 3]}  # fmt: skip
    return Impression(
        id=f"{number:032x}", time=0.0, user=int(rng.integers(USERS)), version="v", k=POSITIONS,
        items=tuple(rng.permutation(ITEMS + 3)[:n].tolist()), scores=rng.random(n).astype(np.float32),
        shown=shown, state="0.0", context=context,
        reasons=("unknown_user",) if rng.random() < 0.05 else (),
    )  # fmt: skip


def remade_of(rng: np.random.Generator, some: list[Impression]) -> list[Remade]:
    return [
        Remade(one, rng.uniform(0, 4, 2).astype(np.float32), {"towers": bool(rng.random() < 0.1)},
               int(rng.integers(20)), float(rng.uniform(0, 1e6)), True)
        for one in some if rng.random() < 0.5
    ]  # fmt: skip


def chances(shown: Impression) -> np.ndarray:
    return 0.15 / (1 + np.arange(len(shown.shown)))


class World:
    """Answers as they were given, and the pool of them."""

    def __init__(self, seed: int, budget: float = 30.0) -> None:
        rng = np.random.default_rng(seed)
        self.impressions = [impression(rng, number, budget) for number in range(400)]
        some = remade_of(rng, self.impressions)
        self.remade = {one.impression.id: one for one in some}
        self.pool: Pool = pool_of(MEASURES, row, self.impressions, some, chances)


def hours(some: list[tuple[World, World, float]]) -> list[Draws]:
    """One after the other. some: the worlds of each, and the factor of clicks."""
    rng = np.random.default_rng(5)
    taste, day = factors(rng, 0.3, USERS), Day.drawn(rng, USERS)
    return [
        drawn(rng, 3600.0 * number, 1200.0, (a.pool, b.pool), (0.3, 0.7), clicks, day, taste, 0.1)
        for number, (a, b, clicks) in enumerate(some)
    ]


def one_by_one(draws: list[Draws], some: list[tuple[World, World, float]]) -> dict[int, Counts]:
    """Each look's counts, as the service has them: answers at once, feedback when it is settled."""
    counts: dict[int, Counts] = defaultdict(Counts)
    for of, (*worlds, _) in zip(draws, some, strict=True):
        countings = [Counting(MEASURES, row, 20) for _ in worlds]
        for world, counting in zip(worlds, countings, strict=True):
            counting.mark(float("-inf"), 0)
            counting.answers(Counts(), world.impressions)
        again: dict[int, int] = defaultdict(int)
        for n, at in enumerate(of.at.tolist()):
            world, counting = worlds[of.of[n]], countings[of.of[n]]
            answer = replace(world.impressions[of.rows[n]], time=at)
            look = int(at // 60)
            counting.answers(counts[look], [answer])
            if of.sampled[n]:
                again[look] += 1
                if again[look] <= REPLAY:
                    counting.remade(counts[look], [world.remade[answer.id]])
            settled = next(later for later in range(look, look + 9) if 60 * (later + 1) - at >= SETTLE)
            came = [
                (at + delay, item)
                for item, clicked, delay in zip(answer.shown_items, of.clicked[n], of.delays[n], strict=False)
                if clicked and at + delay <= 60 * (settled + 1)
            ]
            events = [AnswerEvent(answer.id, item, float(int(time))) for time, item in sorted(came)]
            counting.feedback(counts[settled], [answer], {answer.id: events})
    return counts


def assert_same(some: Counts, others: Counts) -> None:
    assert some.answers == others.answers
    for name in ("rates", "bins", "labels"):
        ours, theirs = getattr(some, name), getattr(others, name)
        assert ours.keys() == theirs.keys()
        for key in ours:
            assert ours[key] == pytest.approx(theirs[key], abs=1e-6), key


@pytest.fixture(scope="module")
def usual() -> World:
    return World(0)


@pytest.fixture(scope="module")
def other() -> World:
    return World(1)


def test_the_sums_and_the_alarms_are_those_of_counting_answers_one_by_one(usual: World, other: World) -> None:
    """Two quiet hours; then budgets are others, and clicks a third."""
    dear = World(2, 90.0)
    some = [(usual, other, 1.0), (usual, other, 1.0), (dear, dear, 0.3)]
    draws, looks = hours(some), Looks(SETTLE, REPLAY)
    each = one_by_one(draws, some)
    for of, (a, b, _) in zip(draws, some, strict=True):
        looks.add(of, (a.pool, b.pool))
    monitors, told = (Monitor(), Monitor()), ([], [])  # type: ignore[var-annotated]
    for look in range(180):
        for monitor, keys, counts in zip(monitors, told, (looks.take(look), each[look]), strict=True):
            keys += [(look, alarm) for alarm in monitor.step(60.0 * (look + 1), counts)]
            monitor.counts = counts  # type: ignore[attr-defined]
        assert_same(monitors[0].counts, monitors[1].counts)  # type: ignore[attr-defined]
    assert {alarm.key for _, alarm in told[0]} >= {"context budget", "join"}
    assert [(look, alarm.key) for look, alarm in told[0]] == [(look, alarm.key) for look, alarm in told[1]]


def test_clicks_are_as_probable_as_in_truth_and_no_two_hours_are_alike(usual: World, other: World) -> None:
    draws = hours([(usual, other, 1.0)] * 12)
    first = np.concatenate([of.clicked[:, 0] for of in draws])
    there = np.concatenate(
        [np.where(of.of == 0, usual.pool.shown[of.rows], other.pool.shown[of.rows]) > 0 for of in draws]
    )
    assert first[there].mean() == pytest.approx(0.15, rel=0.25)  # users differ, and so does the day
    assert not first[~there].any()
    assert len({len(of.at) for of in draws}) > 6
    assert all(len(np.unique(of.rows)) > 300 for of in draws)


def test_whole_hours_have_the_shares_of_minutes(usual: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of answers and of those that are made again, from two pools."""
    monkeypatch.setattr(_hours, "USERS", USERS)
    dear, minutes, whole = World(2, 90.0), Counts(), Counts()
    pools = (usual.pool, dear.pool)
    for of in hours([(usual, dear, 1.0)] * 12):
        looks = Looks(SETTLE, REPLAY)
        looks.add(of, pools)
        for look in range(int(of.at.min() // 60), int(of.at.max() // 60) + 1):
            minutes.add(looks.take(look))
    for counts in _hours.hours_of([Hour(3.0, 3.0, pools, (0.3, 0.7))] * 96, seed=1):
        whole.add(counts)
    assert whole.answers / 96 == pytest.approx(3.0 * 3600, rel=0.15)  # days differ in traffic
    for of_what in (Variable("context", "budget"), Variable("feature", "price"), Variable("coverage")):
        found, expected = (counts.bins[of_what] for counts in (whole, minutes))
        np.testing.assert_allclose(found / found.sum(), expected / expected.sum(), atol=0.03)


def test_a_session_is_of_one_user(usual: World, other: World) -> None:
    """Answers of a user come together: within a minute there are fewer users than of chance alone."""
    (of,) = hours([(usual, usual, 1.0)])
    users = usual.pool.users[of.rows]
    same = np.mean(users[1:] == users[:-1])
    alone = np.mean(users[5:2000] == users[1005:3000])
    assert same > alone


def test_the_month_has_weekends_campaigns_and_swaps() -> None:
    of = [hour_of(hour, VERSIONS) for hour in range(24 * DAYS)]
    assert sum(one.mix == "weekend" for one in of) == 24 * 8 - (6 + 24 + 12)
    assert sum(one.mix == "campaign" for one in of) == len(CAMPAIGNS) == 66
    assert sum(before.version != after.version for before, after in pairwise(of)) == DAYS + len(AFTERNOONS)
    assert all(3 <= one.age <= 26 for one in of)
    assert {one.version for one in of[:168]} == {0, 1}
    assert {one.version for one in of} == set(range(VERSIONS))
    assert min(one.rate for one in of) == pytest.approx(2.4)


def test_an_age_is_between_two() -> None:
    assert between(3.0) == (AGES[:2], (1.0, 0.0))
    assert between(8.0) == (AGES[:2], (0.0, 1.0))
    ages, shares = between(17.5)
    assert ages == AGES[1:]
    assert shares == pytest.approx((0.5, 0.5))
    assert between(40.0)[1] == (0.0, 1.0)
