"""Splits: no part sees what comes after it, and the fast cuts agree with a slow, plain definition."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from funnel.data import Dataset, Schema, Split, SplitConfig, split
from funnel.errors import DataError
from funnel.types import Clock, Examples, Log

Event = tuple[int, int, int]
Asked = tuple[int, int, list[int], list[int], list[int] | None, list[int]]


def dataset(events: list[Event], clock: Clock = "time", parts: list[str] | None = None) -> Dataset:
    frame = pd.DataFrame(events, columns=["user_id", "item_id", "time"], dtype="int64")
    if clock != "time":
        frame = frame.drop(columns="time")
    return Dataset.from_frames(Schema(), frame if parts is None else frame.assign(split=parts), clock=clock)


def plain(examples: Examples) -> list[Asked]:
    """Requests as plain values: user, time, history, its times, exclusions, targets."""
    r = examples.requests
    return [
        (
            int(r.users[i]),
            int(r.times[i]),
            r.history[i].tolist(),
            r.history_times[i].tolist(),
            None if r.exclude is None else r.exclude[i].tolist(),
            examples.targets[i].tolist(),
        )
        for i in range(len(examples))
    ]


def rows(log: Log) -> list[Event]:
    return list(zip(log.users.tolist(), log.items.tolist(), log.times.tolist(), strict=True))


def asked(
    user: int, time: int, before: list[Event], targets: list[int], *, exclude: bool, limit: int | None = None
) -> list[Asked]:
    """A request after these events of the user; none where nothing is left to find."""
    seen = [item for _, item, _ in before]
    targets = [item for item in dict.fromkeys(targets) if not (exclude and item in seen)]
    kept = before if limit is None else before[-limit:]
    history, times = [item for _, item, _ in kept], [t for *_, t in kept]
    return [(user, time, history, times, seen if exclude else None, targets)] if targets else []


def slow_window(log: list[Event], start: int, end: float, exclude: bool) -> list[Asked]:
    out = []
    for user in sorted({u for u, *_ in log}):
        mine = [event for event in log if event[0] == user]
        inside = [item for _, item, t in mine if start <= t < end]
        out += asked(user, start, [e for e in mine if e[2] < start], inside, exclude=exclude)
    return out


def slow_events(log: list[Event], start: int, end: float, exclude: bool, limit: int) -> list[Asked]:
    out = []
    for user, item, t in log:
        if start <= t < end:
            before = [e for e in log if e[0] == user and e[2] < t]
            out += asked(user, t, before, [item], exclude=exclude, limit=limit)
    return out


def slow_last(log: list[Event], back: int, exclude: bool) -> list[Asked]:
    out = []
    for user in sorted({u for u, *_ in log}):
        mine = [event for event in log if event[0] == user]
        if len(mine) >= 3:
            _, item, t = mine[-back]
            out += asked(user, t, mine[:-back], [item], exclude=exclude)
    return out


events = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 6), st.integers(0, 12)), min_size=8, max_size=60
)
#: A user with enough different items for the ranker's and the test part of any protocol without times.
NEVER_EMPTY = [(5, item, item) for item in range(5)]
settled = settings(max_examples=30, deadline=None)


def split_or_skip(data: Dataset, config: SplitConfig) -> Split:
    """Small random logs may leave a part empty, which is refused: not what is looked at here."""
    try:
        return split(data, config, seed=0)
    except DataError:
        assume(False)
        raise


@settled
@given(events, st.booleans(), st.sampled_from(["window", "event"]), st.integers(1, 5))
def test_time_windows_agree_with_the_plain_definition(
    log: list[Event], exclude: bool, protocol: str, limit: int
) -> None:
    data = dataset(log)
    # A limit is for the protocols that cut histories at each event; with the window it is refused.
    cut = {} if protocol == "window" else {"history_limit": limit}
    config = SplitConfig(ranker=0.5, test=0.75, protocol=protocol, exclude_seen=exclude, **cut)
    parts = split_or_skip(data, config)
    known = rows(data.log)
    first, second = known[int(0.5 * len(known))][2], known[int(0.75 * len(known))][2]
    assert rows(parts.train) == rows(parts.ranker_statistics) == [e for e in known if e[2] < first]
    assert rows(parts.test_statistics) == [e for e in known if e[2] < second]
    assert rows(parts.ranker_known) == rows(parts.test_known) == known
    for got, start, end in ((parts.ranker, first, second), (parts.test, second, np.inf)):
        if protocol == "window":
            assert plain(got) == slow_window(known, start, end, exclude)
        else:
            assert plain(got) == slow_events(known, start, end, exclude, limit)


@settled
@given(events, st.booleans(), st.sampled_from(["time", "order"]))
def test_leave_one_out_agrees_with_a_plain_definition(log: list[Event], exclude: bool, clock: Clock) -> None:
    data = dataset(NEVER_EMPTY + log, clock)
    parts = split(data, SplitConfig(kind="leave_one_out", exclude_seen=exclude), seed=0)
    assert parts.refit is None
    known = rows(data.log)
    assert plain(parts.ranker) == slow_last(known, 2, exclude)
    assert plain(parts.test) == slow_last(known, 1, exclude)
    kept = []
    for user in range(data.log.n_users):
        mine = [event for event in known if event[0] == user]
        kept += mine[:-2] if len(mine) >= 3 else mine
    assert sorted(rows(parts.train)) == sorted(kept)
    assert parts.ranker_known is parts.test_known is parts.train
    assert parts.ranker_statistics is parts.test_statistics is parts.train


@settled
@given(events, st.integers(0, 2**32), st.booleans(), st.sampled_from(["none", "time"]))
def test_a_given_split_agrees_with_the_plain_definition(
    log: list[Event], seed: int, exclude: bool, clock: Clock
) -> None:
    labels = np.random.default_rng(seed).choice(["train", "train", "test"], len(log)).tolist()
    log, labels = [*NEVER_EMPTY, (6, 0, 0), *log], ["train"] * 5 + ["test"] + labels
    data = dataset(log, clock, labels)
    parts = split(data, SplitConfig(kind="given", exclude_seen=exclude), seed=0)
    known, published = rows(data.log), data.events["split"].tolist()
    train = [event for event, label in zip(known, published, strict=True) if label == "train"]
    test = [event for event, label in zip(known, published, strict=True) if label == "test"]
    moment = 0 if clock == "none" else max(t for *_, t in train) + 1
    expected = []
    for user in sorted({u for u, *_ in test}):
        wanted = sorted(item for u, item, _ in test if u == user)
        expected += asked(user, moment, [e for e in train if e[0] == user], wanted, exclude=exclude)
    assert plain(parts.test) == expected

    held = {(user, item) for user, *_, targets in plain(parts.ranker) for item in targets}
    assert rows(parts.train) == [event for event in train if event[:2] not in held]
    for user in range(data.log.n_users):
        items = {item for u, item, _ in train if u == user}
        assert len([pair for pair in held if pair[0] == user]) == (
            max(1, len(items) // 10) if len(items) >= 5 else 0
        )
    for user, time, history, *_ in plain(parts.ranker):
        assert history == [item for u, item, _ in rows(parts.train) if u == user]
        assert time == moment
    assert parts.ranker_known is parts.ranker_statistics is parts.train
    assert rows(parts.test_statistics) == rows(parts.test_known) == train
    assert (parts.refit is None) == (not held)
    assert parts.refit is None or rows(parts.refit) == train


@settled
@given(events, st.sampled_from(["window", "event"]))
def test_nothing_later_is_visible(log: list[Event], protocol: str) -> None:
    parts = split_or_skip(dataset(log), SplitConfig(ranker=0.4, test=0.7, protocol=protocol))
    assert parts.train.times.max() < parts.ranker.requests.times.min()
    assert parts.ranker.requests.times.max() < parts.test.requests.times.min()
    assert parts.ranker_statistics.times.max() < parts.ranker.requests.times.min()
    assert parts.test_statistics.times.max() < parts.test.requests.times.min()
    for _, time, history, times, exclude, targets in plain(parts.ranker) + plain(parts.test):
        assert all(t < time for t in times)
        assert times == sorted(times)
        assert exclude is not None
        assert set(history) <= set(exclude)
        assert not set(targets) & set(exclude)
        assert len(set(targets)) == len(targets) > 0


@settled
@given(events, st.sampled_from(["window", "event"]))
def test_what_the_test_window_holds_changes_nothing_before_it(log: list[Event], protocol: str) -> None:
    config = SplitConfig(ranker="1970-01-01T00:00:04", test="1970-01-01T00:00:08", protocol=protocol)
    catalogue = [(user, item, 0) for user in range(5) for item in range(7)]
    late = [(u, item, t) if t < 8 else (u, (item + 1) % 7, t) for u, item, t in log]
    one, two = (split_or_skip(dataset(catalogue[::5] + events), config) for events in (log, late))
    assert rows(one.train) == rows(two.train)
    assert rows(one.test_statistics) == rows(two.test_statistics)
    assert plain(one.ranker) == plain(two.ranker)


def log_of(n: int, seed: int = 0) -> list[Event]:
    rng = np.random.default_rng(seed)
    return list(zip(*(rng.integers(0, high, n).tolist() for high in (40, 300, 1000)), strict=True))


@pytest.mark.parametrize(
    "config",
    [
        SplitConfig(max_requests=7),
        SplitConfig(max_requests=7, protocol="event"),
        SplitConfig(max_requests=7, kind="leave_one_out"),
    ],
)
def test_a_sample_of_requests_is_seeded_and_takes_requests_only(config: SplitConfig) -> None:
    data = dataset(log_of(2000))
    whole = split(data, config.model_copy(update={"max_requests": None}), seed=1)
    parts, again, other = split(data, config, 1), split(data, config, 1), split(data, config, 2)
    for name in ("ranker", "test"):
        some, every = plain(getattr(parts, name)), plain(getattr(whole, name))
        assert len(some) == 7
        assert some == [request for request in every if request in some]
        assert some == plain(getattr(again, name))
        assert some != plain(getattr(other, name))
    assert rows(parts.train) == rows(whole.train)
    assert parts.test_known.n_items == whole.test_known.n_items
    assert any("7 of" in note for note in parts.notes)


def test_a_long_history_is_cut_and_what_is_excluded_is_not() -> None:
    data = dataset([(0, i, i) for i in range(50)])
    parts = split(data, SplitConfig(protocol="event", history_limit=3), seed=0)
    user, time, history, times, exclude, targets = plain(parts.test)[-1]
    assert (user, time, history, times, targets) == (0, 49, [46, 47, 48], [46, 47, 48], [49])
    assert exclude == list(range(49))


def test_held_out_items_follow_the_seed() -> None:
    log = log_of(2000)
    data = dataset(log, "none", ["test" if i % 5 == 0 else "train" for i in range(len(log))])
    one, same, other = (plain(split(data, SplitConfig(kind="given"), seed).ranker) for seed in (1, 1, 2))
    assert one == same != other


def test_items_of_sets_are_held_out_unevenly() -> None:
    """As what comes later is: their shares vary by more than chance, unlike those of logs with a clock."""
    rng = np.random.default_rng(0)
    log = [(user, int(item), 7) for user in range(1500) for item in rng.permutation(60)[:30]]
    shown = np.bincount([item for _, item, _ in log])
    beyond_chance = {}
    for clock in ("none", "time"):
        data = dataset([*log, (0, 60, 8)], clock, ["train"] * len(log) + ["test"])
        held = np.bincount(split(data, SplitConfig(kind="given"), seed=3).ranker.targets.values, minlength=60)
        assert held.sum() == 1500 * 3
        beyond_chance[clock] = np.var(held / shown) / (0.1 * 0.9 / shown.mean())
    assert beyond_chance["time"] < 2
    assert beyond_chance["none"] > 20


def test_a_user_who_was_never_there_asks_with_an_empty_history() -> None:
    data = dataset([(0, i, i) for i in range(8)] + [(1, 3, 7), (2, 4, 9), (0, 9, 9)])
    parts = split(data, SplitConfig(ranker=0.6, test=0.9), seed=0)
    assert plain(parts.test) == [
        (0, 9, list(range(8)), list(range(8)), list(range(8)), [8]),
        (2, 9, [], [], [], [4]),
    ]


def test_dropped_requests_are_counted() -> None:
    data = dataset([(u, i, i) for u in range(2) for i in range(9)] + [(0, 1, 9), (1, 9, 9)])
    parts = split(data, SplitConfig(ranker=0.5, test=0.9), seed=0)
    assert parts.notes == ("test: 1 of 2 requests had nothing new to find",)
    assert split(data, SplitConfig(ranker=0.5, test=0.9, exclude_seen=False), seed=0).notes == ()


def test_dates_cut_at_midnight_utc() -> None:
    day = 86400
    data = dataset([(0, i, i * day) for i in range(10)] + [(0, 10, 6 * day - 1)])
    parts = split(data, SplitConfig(ranker="1970-01-05", test="1970-01-07T01:00:00+01:00"), seed=0)
    assert parts.train.times.max() == 3 * day
    assert parts.ranker.requests.times.tolist() == [4 * day]
    assert parts.ranker.targets[0].tolist() == [4, 5, 10]
    assert parts.test.requests.times.tolist() == [6 * day]


@pytest.mark.parametrize(
    ("log", "config", "message"),
    [
        ([(0, 0, 5)], SplitConfig(), r"the training part has no events: ranker = 0.8 .*1970-01-01T00:00:05"),
        ([(0, i, 5) for i in range(9)], SplitConfig(), "the training part has no events"),
        ([(0, i, i > 4) for i in range(9)], SplitConfig(), "the ranker window has no events"),
        ([(0, i, i) for i in range(9)], SplitConfig(test="2020-01-01"), "test window .*test = 2020-01-01"),
        (
            [(0, i % 3, i) for i in range(20)],
            SplitConfig(),
            "ranker part has no requests.*ranker = 0.8 and test",
        ),
        ([(0, 0, 0), (1, 0, 0), (1, 1, 1)], SplitConfig(kind="leave_one_out"), "no requests .*3 events, .*0"),
        ([(0, 0, 0)], SplitConfig(kind="given"), 'needs a column "split"'),
    ],
)
def test_an_empty_part_says_what_made_it_empty(log: list[Event], config: SplitConfig, message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(dataset(log), config, seed=0)


def test_a_protocol_says_what_it_needs() -> None:
    log = log_of(50)
    with pytest.raises(DataError, match=r'has no times .clock "order".: split it by leave_one_out'):
        split(dataset(log, "order"), SplitConfig(), seed=0)
    with pytest.raises(DataError, match="has no order"):
        split(dataset(log, "none"), SplitConfig(kind="leave_one_out"), seed=0)
    with pytest.raises(DataError, match='but all of it is "train"'):
        split(dataset(log, "none", ["train"] * 50), SplitConfig(kind="given"), seed=0)


@pytest.mark.parametrize(
    "options",
    [
        {"ranker": 0.9, "test": 0.8},
        {"ranker": 0.0},
        {"test": 1.5},
        {"test": "soon"},
        {"test": "0.9"},
        {"max_requests": 0},
        {"kind": "random"},
        {"raanker": 0.5},
    ],
)
def test_a_config_that_means_nothing_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        SplitConfig(**options)


def test_a_toml_date_is_a_date() -> None:
    assert SplitConfig(test=pd.Timestamp("2020-02-03").date()).test == "2020-02-03"
