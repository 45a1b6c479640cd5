"""What is known at a moment is the same offline, live and in a batch, and nothing of later moments is in
it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from funnel.artifacts import Store
from funnel.data import Dataset
from funnel.features import Rates
from funnel.features.context_rates import ContextRates
from funnel.pipeline.prepare import prepare
from funnel.pipeline.ranker_parts import before_ranker
from funnel.serving.request import Request, encode_request
from funnel.towers.training.batches import sequences
from funnel.towers.training.steps import steps
from funnel.types import Log
from tests.context.shop import SCHEMA, Shop


def request_of(asked: Shop, place: int) -> Request:
    """The request of a test example as a caller would make it."""
    test, ids = asked.prepared.split.test.requests, asked.data.item_ids
    row = int(asked.prepared.split.test_rows[place])  # type: ignore[index]
    history = [ids[item].item() for item in test.history[place]]
    user = asked.data.user_ids[test.users[place]]
    return Request(user, history, time=int(test.times[place]), context=asked.said(row))


def test_a_replayed_event_is_encoded_live_as_it_was_offline(asked: Shop) -> None:
    contents, test = asked.live.contents, asked.prepared.split.test.requests
    assert contents.context is not None
    assert set(test.context) == {*(column.name for column in SCHEMA.context), "hour", "weekday"}
    for place in range(0, len(test), 29):
        made, reasons = encode_request(contents, request_of(asked, place))
        assert not reasons or reasons == ["empty_history"]
        for name, values in test.context.items():
            if name in made.context:
                np.testing.assert_array_equal(made.context[name][0], values[place], err_msg=name)
        for name, values in test.context_numbers.items():
            np.testing.assert_array_equal(made.context_numbers[name][0], values[place])


def test_a_replayed_event_has_the_features_queries_and_list_that_it_had_offline(asked: Shop) -> None:
    contents, test = asked.live.contents, asked.prepared.split.test.requests
    features, funnel = contents.candidate_features(), contents.funnel()
    assert contents.ranker is not None
    assert {"context.place", "context.limit", "context.hour", "context.rate_place"} <= set(features.names)
    assert {"context.rate_country_category", "context.fit_query_look"} <= set(features.names)
    assert "context.note" not in features.names
    for place in range(0, len(test), 97):
        offline = test.take(np.array([place]))
        live, _ = encode_request(contents, request_of(asked, place))
        live = replace(live, history_times=offline.history_times, exclude=offline.exclude)
        np.testing.assert_array_equal(contents.queries.encode(live), contents.queries.encode(offline))
        shortlist = contents.retriever()(offline)
        np.testing.assert_array_equal(features.matrix(live, shortlist), features.matrix(offline, shortlist))
        np.testing.assert_array_equal(funnel(live).items, funnel(offline).items)


def test_a_batch_gives_the_bits_that_single_requests_give(asked: Shop) -> None:
    contents, test = asked.live.contents, asked.prepared.split.test.requests
    some = test.take(np.arange(0, len(test), 51))
    features, shortlist = contents.candidate_features(), contents.retriever()(some)
    whole = features.matrix(some, shortlist)
    for place in range(len(some)):
        one = np.array([place])
        np.testing.assert_array_equal(features.matrix(some.take(one), shortlist.take(one))[0], whole[place])


def test_each_place_of_a_sequence_knows_the_moment_of_the_event_that_it_should_find(asked: Shop) -> None:
    log, rng = asked.prepared.split.train, np.random.default_rng(0)
    every = asked.data.log
    for made in steps(sequences(log, 10, rng), 200, rng):
        (step,) = made.parts
        known = step.moments >= 0
        assert 0.7 < known.mean() < 1.0  # some learn to stand without
        np.testing.assert_array_equal(every.items[step.moments[known]], step.targets[known])
    assert log.rows is not None
    np.testing.assert_array_equal(every.users[log.rows], log.users)


@pytest.mark.parametrize("protocol", ["event", "window"])
def test_a_request_has_the_moment_of_what_comes_next(asked: Shop, protocol: str) -> None:
    split = {"kind": "time", "protocol": protocol, "ranker": 0.6, "test": 0.8}
    config = asked.prepared.config.model_copy(
        update={"split": type(asked.prepared.config.split).model_validate(split)}
    )
    parts = prepare(config, asked.data).split
    events = asked.data.events
    for examples, rows in ((parts.ranker, parts.ranker_rows), (parts.test, parts.test_rows)):
        assert rows is not None
        taken = asked.data.item_vocabulary.rows(events["item_id"].iloc[rows])
        users = asked.data.user_vocabulary.rows(events["user_id"].iloc[rows])
        np.testing.assert_array_equal(users, examples.requests.users)
        np.testing.assert_array_equal(taken, examples.targets.values[examples.targets.offsets[:-1]])
        times = events["time"].to_numpy()[rows]
        assert (times >= examples.requests.times).all()
        for place in range(0, len(rows), 11):  # the first of the targets, whatever comes later
            of_user = (asked.data.log.users == users[place]) & np.isin(
                asked.data.log.items, examples.targets[place]
            )
            later = asked.data.log.times[of_user & (asked.data.log.times >= examples.requests.times[place])]
            assert times[place] == later.min()


def changed_from(data: Dataset, time: int) -> Dataset:
    """The same events, of which those from a time on come from elsewhere."""
    events = data.events.copy()
    late = events["time"] >= time
    assert 0 < late.sum() < len(events)
    events.loc[late, "place"] = np.roll(events.loc[late, "place"].to_numpy(), 1)
    events.loc[late, "country"] = "XX"
    events.loc[late, "limit"] = 1e6
    return Dataset.from_frames(SCHEMA, events, items=data.items, name="shop")


def test_nothing_that_is_known_later_is_in_what_was_known_before(asked: Shop) -> None:
    own, split = asked.prepared, asked.prepared.split
    start = int(split.ranker.requests.times.min())
    other = prepare(own.config, changed_from(asked.data, start))
    assert other.context is not None
    assert own.context is not None
    for name in ("place", "country"):
        assert other.context.values(name) == own.context.values(name)
    before, after = (one.rates(one.split.ranker_statistics) for one in (own, other))
    for name in before:
        np.testing.assert_array_equal(before[name].counts, after[name].counts)
        np.testing.assert_array_equal(before[name].groups["category"], after[name].groups["category"])
    late = own.rates(split.test_statistics)["place"]
    assert late.totals.sum() > before["place"].totals.sum()


def test_a_bundle_counts_what_was_before_the_window_that_it_is_asked_about(
    asked: Shop, tmp_path: Path
) -> None:
    """What it serves with before the test, what the ranker learned with before the ranker's window."""
    prepared, times = asked.prepared, asked.data.log.times
    place = asked.data.events["place"].notna().to_numpy()
    towers = Store(asked.folder / "embeddings")
    version = towers.path(towers.versions()[0].version)
    bundle = Store(asked.folder / "indexes").path("current")
    learned = before_ranker(prepared, version, bundle, tmp_path)
    served = asked.live.contents
    for contents, window in ((served, prepared.split.test), (learned, prepared.split.ranker)):
        start = int(window.requests.times.min())
        assert contents.rates["place"].totals.sum() == (place & (times < start)).sum()


def test_rates_are_those_of_a_slow_count() -> None:
    """Of two columns of the context, which are counted by themselves and read items together."""
    rng = np.random.default_rng(0)
    n, n_items, values = 500, 12, 5
    items, kinds = rng.integers(n_items, size=n), rng.integers(values, size=(n_items, 2)).astype(np.int32)
    kinds[kinds[:, 0] == kinds[:, 1], 1] = 0  # an item has a value once
    log = Log(np.zeros(n, np.int32), items.astype(np.int32), np.arange(n), 1, n_items)
    from funnel.features import Spec

    sizes, specs = (4, 7), {"kind": Spec("multi_category", values, 2)}
    logged = [rng.integers(size, size=n).astype(np.int32) for size in sizes]
    each = [
        Rates.fit(log, codes, size, {"kind": kinds}, specs) for codes, size in zip(logged, sizes, strict=True)
    ]
    asked_items = np.array([[0, 5, -1, n_items + 3], [1, 1, 2, 3], [0, 1, 2, 3]], np.int32)
    asked_codes = [np.array([2, 0, 3], np.int32), np.array([6, 1, 0], np.int32)]
    wide = np.concatenate([kinds, np.zeros((8, 2), np.int32)])
    together = ContextRates(dict(zip(("device", "place"), each, strict=True)))
    assert together.names == (("device", None), ("device", "kind"), ("place", None), ("place", "kind"))
    filled = np.full((3, 4, 6), np.nan, np.float32)
    codes_of = dict(zip(("device", "place"), asked_codes, strict=True))
    together.fill(asked_items, codes_of, {"kind": wide}, filled, 2)
    assert np.isnan(filled[:, :, :2]).all()
    for number, (codes, size) in enumerate(zip(logged, sizes, strict=True)):
        known, got, of_values = codes > 0, filled[:, :, 2 + 2 * number], filled[:, :, 3 + 2 * number]
        for row, code in enumerate(asked_codes[number].tolist()):
            share = ((codes[known] == code).sum() + 1) / (known.sum() + size)
            for at, item in enumerate(asked_items[row].tolist()):
                if code == 0 or item < 0:
                    assert np.isnan(got[row, at])
                    assert np.isnan(of_values[row, at])
                    continue
                mine = known & (items == item)
                lift = ((mine & (codes == code)).sum() + 20 * share) / (mine.sum() + 20)
                assert got[row, at] == pytest.approx(np.log(lift / share), abs=1e-6)
                lifts = []
                for kind in wide[item][wide[item] > 0]:
                    alike = known & (kinds[items] == kind).any(axis=1)
                    lift = ((alike & (codes == code)).sum() + 20 * share) / (alike.sum() + 20)
                    lifts.append(np.log(lift / share))
                expected = np.mean(lifts) if lifts else np.nan
                np.testing.assert_allclose(of_values[row, at], expected, atol=1e-6)
        # A new item is taken as often everywhere.
        assert got[0, 3] == pytest.approx(0.0, abs=1e-6)


def test_lists_that_were_shown_have_the_moment_of_their_row(asked: Shop) -> None:
    rng = np.random.default_rng(3)
    events, lists = asked.data.events, []
    for number, event in enumerate(events.itertuples()):
        shown = [event.item_id, *rng.choice(80, size=3, replace=False)]
        for position, item in enumerate(dict.fromkeys(shown)):
            lists.append((number, event.user_id, item, event.time, position, position == 0, event.place, 1.5))
    names = ["request_id", "user_id", "item_id", "time", "position", "clicked", "place", "bid"]
    from funnel.data import Column

    schema = SCHEMA.model_copy(
        update={
            "impressions": (
                Column(name="place", kind="category", context=True),
                Column(name="bid", kind="number"),
            )
        }
    )
    data = Dataset.from_frames(
        schema, events, items=asked.data.items, impressions=pd.DataFrame(lists, columns=names), name="lists"
    )
    split = {"kind": "time", "protocol": "shown", "ranker": 0.6, "test": 0.8, "exclude_seen": False}
    config = asked.prepared.config.model_copy(
        update={"split": type(asked.prepared.config.split).model_validate(split)}
    )
    prepared = prepare(config, data)
    test, rows = prepared.split.test, prepared.split.test_rows
    assert data.impressions is not None
    assert prepared.context is not None
    assert rows is not None
    at = data.impressions.iloc[rows]
    np.testing.assert_array_equal(data.user_vocabulary.rows(at["user_id"]), test.requests.users)
    np.testing.assert_array_equal(at["time"], test.requests.times)
    names_of = np.array(["", *prepared.context.values("place")])
    np.testing.assert_array_equal(names_of[test.requests.context["place"]], at["place"])
    assert (test.requests.context["country"] == 0).all()  # lists do not say it
    assert test.requests.shown is not None
    assert "bid" in test.requests.shown.columns
