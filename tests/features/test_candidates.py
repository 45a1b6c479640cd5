"""Candidate features: no look ahead, one code for training and live, and what each column says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from funnel.errors import ConfigError
from funnel.features import CandidateFeatures, FeaturesConfig, Spec, Statistics
from funnel.types import Candidates, Clock, Features, Log, Ragged, Requests
from tests.features.worlds import (
    DAY,
    SPECS,
    USER_SPECS,
    event_requests,
    item_columns,
    make_candidates,
    make_log,
    slow_scores,
)

LOG = make_log()
CUT = len(LOG) // 2
BEFORE = LOG.where(np.arange(len(LOG)) < CUT)
STATISTICS = Statistics.fit(LOG, BEFORE)
ITEMS = item_columns(LOG.n_items)
VECTORS = np.random.default_rng(5).normal(size=(LOG.n_items, 8)).astype(np.float32)
USERS: Features = {
    "country": np.random.default_rng(6).integers(0, 4, LOG.n_users).astype(np.int32),
    "age": np.stack([np.linspace(-2, 2, LOG.n_users), np.arange(LOG.n_users) % 3 == 0], axis=1).astype(
        np.float32
    ),
}


def make(
    statistics: Statistics = STATISTICS, names: Sequence[str] | None = None, **changes: Any
) -> CandidateFeatures:
    config = FeaturesConfig() if names is None else FeaturesConfig(names=tuple(names))
    parts: dict[str, Any] = {
        "item_features": ITEMS, "item_vectors": VECTORS, "user_specs": USER_SPECS, "item_specs": SPECS,
        "sources": ("towers", "popular"), **changes,
    }  # fmt: skip
    return CandidateFeatures(config, statistics, **parts)


def ask(rows: np.ndarray, log: Log = LOG) -> Requests:
    requests = event_requests(log, rows)
    return replace(requests, user_features={name: column[requests.users] for name, column in USERS.items()})


ROWS = np.arange(CUT, len(LOG), 7)
REQUESTS = ask(ROWS)
CANDIDATES = make_candidates(len(ROWS), LOG.n_items, 20)
FEATURES = make()
MATRIX = FEATURES.matrix(REQUESTS, CANDIDATES)


def column(name: str) -> np.ndarray:
    return MATRIX[:, :, FEATURES.names.index(name)]


def expect(name: str, slow: Any) -> None:
    """`slow(request, place, item)` is what the column says at each filled place."""
    expected = np.full(CANDIDATES.items.shape, np.nan)
    for row, place in zip(*np.nonzero(CANDIDATES.filled), strict=True):
        expected[row, place] = slow(row, place, CANDIDATES.items[row, place])
    np.testing.assert_allclose(column(name), expected, rtol=2e-5, atol=1e-5, err_msg=name)


def known_history(row: int) -> np.ndarray:
    """Newest first."""
    return REQUESTS.history[row][::-1][:50]


def test_shape_names_and_empty_positions() -> None:
    assert MATRIX.shape == (len(ROWS), 20, len(FEATURES.names))
    assert MATRIX.dtype == np.float32
    assert len(set(FEATURES.names)) == len(FEATURES.names)
    assert np.isnan(MATRIX[~CANDIDATES.filled]).all()
    assert not np.isinf(MATRIX).any()
    assert not np.isnan(MATRIX).all(axis=(0, 1)).any()
    assert make(names=["history"]).names == [n for n in FEATURES.names if n.startswith("history.")]


def test_a_log_replayed_live_gives_the_matrix_bit_for_bit() -> None:
    """Requests one at a time, each after the clicks before it were observed, on statistics fitted before."""
    live = Statistics.fit(BEFORE, BEFORE, windows=STATISTICS.windows)
    features = make(live)
    seen = CUT
    for number, row in enumerate(ROWS):
        live.observe(LOG.items[seen:row], LOG.times[seen:row])
        seen = int(row)
        one = np.array([number])
        np.testing.assert_array_equal(
            features.matrix(ask(np.array([row])), CANDIDATES.take(one))[0], MATRIX[number]
        )


def test_batches_of_any_size_give_the_same_bits() -> None:
    for size in (1, 3, 16):
        parts = [np.arange(start, min(start + size, len(ROWS))) for start in range(0, len(ROWS), size)]
        pieces = [FEATURES.matrix(REQUESTS.take(part), CANDIDATES.take(part)) for part in parts]
        np.testing.assert_array_equal(np.concatenate(pieces), MATRIX)


def test_the_position_of_a_candidate_changes_only_its_position() -> None:
    order = np.random.default_rng(0).permutation(20)[None].repeat(len(ROWS), axis=0)
    np.testing.assert_array_equal(FEATURES.matrix(REQUESTS, CANDIDATES.reorder(order)), MATRIX[:, order[0]])


def test_events_at_or_after_a_request_change_nothing() -> None:
    """The whole future replaced by one item's triumph."""
    time = int(LOG.times[CUT])
    future = LOG.times >= time
    other = replace(LOG, items=np.where(future, 11, LOG.items).astype(np.int32))
    rows = np.flatnonzero(LOG.times == time)
    candidates = make_candidates(len(rows), LOG.n_items, 30)
    past = LOG.where(~future)
    known, changed = (
        make(Statistics.fit(log, past, windows=STATISTICS.windows)).matrix(ask(rows), candidates)
        for log in (LOG, other)
    )
    np.testing.assert_array_equal(known, changed)


def test_removed_items_in_a_history_are_as_if_never_there() -> None:
    rng = np.random.default_rng(3)
    lists = [REQUESTS.history[row] for row in range(len(ROWS))]
    times = [REQUESTS.history_times[row] for row in range(len(ROWS))]
    kept = [rng.random(len(items)) < 0.6 for items in lists]
    holed = [np.where(keep, items, -1) for items, keep in zip(lists, kept, strict=True)]
    whole = replace(REQUESTS, history=Ragged.from_lists(holed))
    clean = replace(
        REQUESTS,
        history=Ragged.from_lists([items[keep] for items, keep in zip(lists, kept, strict=True)]),
        history_times=Ragged.from_lists([t[keep] for t, keep in zip(times, kept, strict=True)], np.int64),
    )
    np.testing.assert_array_equal(FEATURES.matrix(whole, CANDIDATES), FEATURES.matrix(clean, CANDIDATES))


def test_someone_without_a_history_has_no_taste() -> None:
    no_one = np.full(2, -1)
    requests = Requests(
        no_one.astype(np.int32), np.full(2, 50 * DAY), Ragged.empty(2), Ragged.empty(2, np.int64)
    )
    matrix = FEATURES.matrix(requests, CANDIDATES.take(np.array([1, 2])))
    for name, values in zip(FEATURES.names, np.moveaxis(matrix, 2, 0), strict=True):
        family = name.split(".")[0]
        if family in ("covisitation", "transition", "affinity", "number_affinity", "similarity", "user"):
            assert np.isnan(values).all(), name
    assert (matrix[0, :, FEATURES.names.index("history.length")] == 0).all()
    assert np.isfinite(matrix[0, :, FEATURES.names.index("popularity.all")]).all()


def test_source_columns() -> None:
    scores, ranks = CANDIDATES.source_scores, CANDIDATES.source_ranks
    for number, source in enumerate(("towers", "popular")):
        expect(f"source.{source}.score", lambda r, p, i, n=number: scores[r, p, n])
        expect(
            f"source.{source}.rank",
            lambda r, p, i, n=number: ranks[r, p, n] if ranks[r, p, n] >= 0 else np.nan,
        )
        expect(f"source.{source}.gap", lambda r, p, i, n=number: np.nanmax(scores[r, :, n]) - scores[r, p, n])
    expect("source.count", lambda r, p, i: (ranks[r, p] >= 0).sum())


def test_a_source_that_is_not_there_is_missing() -> None:
    features = make(sources=("towers", "covisitation"))
    names = [n for n in features.names if n.startswith("source.")]
    matrix = features.matrix(REQUESTS, CANDIDATES)
    for name in names:
        values = matrix[:, :, features.names.index(name)]
        assert np.isnan(values).all() == name.startswith("source.covisitation")


def test_popularity_columns() -> None:
    times = REQUESTS.times

    def count(row: int, item: int | None, window: int | None) -> int:
        low = -1 if window is None else times[row] - window
        inside = (LOG.times < times[row]) & (LOG.times >= low)
        return int((inside & (LOG.items == item)).sum()) if item is not None else int(inside.sum())

    def lift(row: int, item: int, window: int | None) -> float:
        return float(np.log1p(count(row, item, window)) - np.log1p(count(row, None, window) / LOG.n_items))

    labels = ["window1", "window2", "window3", "window4", "all"]
    for label, window in zip(labels, STATISTICS.windows, strict=True):
        expect(f"popularity.{label}", lambda r, p, i, w=window: np.log1p(count(r, i, w)))
        expect(f"popularity.lift_{label}", lambda r, p, i, w=window: lift(r, i, w))
    second = STATISTICS.windows[1]
    expect("popularity.trend", lambda r, p, i: lift(r, i, second) - lift(r, i, None))

    def age(row: int, item: int, pick: Any) -> float:
        before = LOG.times[(LOG.items == item) & (LOG.times < times[row])]
        return float(np.log1p((times[row] - pick(before)) / DAY)) if len(before) else np.nan

    expect("popularity.age", lambda r, p, i: age(r, i, np.min))
    expect("popularity.recency", lambda r, p, i: age(r, i, np.max))


def test_covisitation_and_transition_columns() -> None:
    def total(lists: Any, row: int, item: int) -> float:
        history = REQUESTS.history[row]
        return float(slow_scores(lists, history, lists.decay)[item]) if len(history) else np.nan

    def weight(lists: Any, row: int, step: int, item: int) -> float:
        history = known_history(row)
        if len(history) <= step:
            return np.nan
        items, weights = lists.of(history[step])
        return float(weights[items == item].sum())

    for family, lists in (("covisitation", STATISTICS.covisitation), ("transition", STATISTICS.transitions)):
        expect(f"{family}.sum", lambda r, p, i, n=lists: total(n, r, i))
        expect(f"{family}.last", lambda r, p, i, n=lists: weight(n, r, 0, i))
        expect(f"{family}.second", lambda r, p, i, n=lists: weight(n, r, 1, i))
        expect(
            f"{family}.best",
            lambda r, p, i, n=lists: np.nanmax([weight(n, r, s, i) for s in range(n.reach)] + [np.nan]),
        )


def test_affinity_columns() -> None:
    for name in ("shop", "tags"):
        codes = ITEMS[name].reshape(LOG.n_items, -1)
        have = np.bincount(codes.ravel(), minlength=SPECS[name].size)
        rarity = np.log1p(LOG.n_items / np.maximum(have, 1))

        def share(row: int, item: int, codes: Any = codes, rarity: Any = rarity) -> float:
            own = codes[item][codes[item] > 0]
            met = [(0.9**step, codes[h][codes[h] > 0]) for step, h in enumerate(known_history(row))]
            total = sum(fade for fade, there in met if len(there))
            if not len(own) or not total:
                return np.nan
            fits = [sum(fade * (there == code).sum() for fade, there in met) / total for code in own]
            return float(np.average(fits, weights=rarity[own]))

        expect(f"affinity.{name}", lambda r, p, i, f=share: f(r, i))
    shop = ITEMS["shop"]

    def same(row: int, item: int) -> float:
        last = shop[known_history(row)[0]] if len(known_history(row)) else 0
        return float(shop[item] == last) if last and shop[item] else np.nan

    expect("affinity.last_shop", lambda r, p, i: same(r, i))

    def overlap(row: int, item: int) -> float:
        sets = [set(ITEMS["tags"][i]) - {0} for i in (item, *known_history(row)[:1])]
        if len(sets) < 2 or not all(sets):
            return np.nan
        have = np.bincount(ITEMS["tags"].ravel(), minlength=SPECS["tags"].size)
        rarity = np.log1p(LOG.n_items / np.maximum(have, 1))
        return float(rarity[list(sets[0] & sets[1])].sum() / rarity[list(sets[0] | sets[1])].sum())

    expect("affinity.last_tags", lambda r, p, i: overlap(r, i))
    price = np.where(ITEMS["price"][:, 1] > 0, np.nan, ITEMS["price"][:, 0])

    def further(row: int, item: int) -> float:
        history = known_history(row)
        met, fade = price[history], 0.9 ** np.arange(len(history))
        known = ~np.isnan(met)
        return float(price[item] - np.average(met[known], weights=fade[known])) if known.any() else np.nan

    expect("number_affinity.price", lambda r, p, i: further(r, i))


def test_history_user_and_item_columns() -> None:
    history, times = REQUESTS.history, REQUESTS.history_times
    expect("history.length", lambda r, p, i: np.log1p(len(history[r])))
    expect(
        "history.since_last",
        lambda r, p, i: np.log1p(REQUESTS.times[r] - times[r][-1]) if len(history[r]) else np.nan,
    )
    expect(
        "history.mean_gap",
        lambda r, p, i: np.log1p(np.diff(times[r]).mean()) if len(history[r]) > 1 else np.nan,
    )
    expect("history.met", lambda r, p, i: np.log1p((known_history(r) == i).sum()))
    expect(
        "history.met_ago",
        lambda r, p, i: np.log1p(known_history(r).tolist().index(i)) if i in known_history(r) else np.nan,
    )
    user = REQUESTS.users
    expect("user.country", lambda r, p, i: USERS["country"][user[r]] or np.nan)
    expect("user.age", lambda r, p, i: np.nan if USERS["age"][user[r], 1] else USERS["age"][user[r], 0])
    expect("item.shop", lambda r, p, i: ITEMS["shop"][i] or np.nan)
    expect("item.price", lambda r, p, i: np.nan if ITEMS["price"][i, 1] else ITEMS["price"][i, 0])


def test_similarity_columns() -> None:
    unit = VECTORS / np.linalg.norm(VECTORS, axis=1, keepdims=True)

    def mean(row: int, item: int) -> float:
        history = known_history(row)
        if not len(history):
            return np.nan
        taste = (0.9 ** np.arange(len(history))) @ unit[history]
        return float(unit[item] @ taste / np.linalg.norm(taste))

    def near(row: int, item: int, n: int) -> float:
        history = known_history(row)[:n]
        return float((unit[history] @ unit[item]).max()) if len(history) else np.nan

    expect("similarity.mean", lambda r, p, i: mean(r, i))
    expect("similarity.last", lambda r, p, i: near(r, i, 1))
    expect("similarity.best", lambda r, p, i: near(r, i, 7))


@pytest.mark.parametrize("clock", ["order", "none"])
def test_columns_that_need_a_clock_or_an_order_are_only_there_with_one(clock: Clock) -> None:
    log = make_log(clock=clock)
    features = make(Statistics.fit(log, log))
    history, times = log.by_user()
    requests = Requests(np.arange(40, dtype=np.int32), np.zeros(40, np.int64), history, times)
    matrix = features.matrix(requests, make_candidates(40, 60, 20))
    assert matrix.shape[2] == len(features.names)
    for name in ("popularity.window1", "popularity.age", "history.since_last"):
        assert name not in features.names
    for name in ("covisitation.last", "transition.last"):
        assert (name in features.names) == (clock == "order")
    assert {"popularity.all", "covisitation.sum", "affinity.tags", "history.length"} <= set(features.names)


def test_where_nothing_orders_the_history_its_order_changes_nothing() -> None:
    log = make_log(clock="none")
    features = make(Statistics.fit(log, log), names=["covisitation", "affinity", "number_affinity"])
    history, times = log.by_user()
    candidates = make_candidates(40, 60, 20)
    names = [number for number, name in enumerate(features.names) if ".last" not in name]

    def told(lists: Ragged) -> np.ndarray:
        requests = Requests(np.arange(40, dtype=np.int32), np.zeros(40, np.int64), lists, times)
        return features.matrix(requests, candidates)[:, :, names]

    shuffled = [np.random.default_rng(user).permutation(history[user]) for user in range(40)]
    np.testing.assert_allclose(told(history), told(Ragged.from_lists(shuffled)), rtol=1e-5, atol=1e-6)


def test_no_request_no_position_and_one_item() -> None:
    none = np.arange(0)
    assert FEATURES.matrix(REQUESTS.take(none), CANDIDATES.take(none)).shape == (0, 20, len(FEATURES.names))
    assert FEATURES.matrix(REQUESTS, Candidates.empty(len(ROWS))).shape == (len(ROWS), 0, len(FEATURES.names))
    log = Log(np.zeros(2, np.int32), np.zeros(2, np.int32), np.array([5, 9]), 1, 1)
    features = make(
        Statistics.fit(log, log), item_features=item_columns(1), item_vectors=np.zeros((1, 3), np.float32)
    )
    one = Requests(
        np.zeros(1, np.int32), np.array([9]), Ragged.from_lists([[0]]), Ragged.from_lists([[5]], np.int64)
    )
    items, scores = np.zeros((1, 1), np.int32), np.zeros((1, 1), np.float32)
    matrix = features.matrix(
        one, Candidates(items, scores, (), scores[:, :, None][:, :, :0], items[:, :, None][:, :, :0])
    )
    told = dict(zip(features.names, matrix[0, 0].tolist(), strict=True))
    assert told["popularity.all"] == pytest.approx(np.log(2))
    assert told["covisitation.sum"] == 0
    assert told["similarity.last"] == 0  # a vector without a direction


def test_what_is_not_there_gives_no_column() -> None:
    features = make(item_features={}, item_specs={}, item_vectors=None, user_specs={})
    groups = {name.split(".")[0] for name in features.names}
    assert groups == {"source", "popularity", "covisitation", "transition", "history"}
    assert features.matrix(REQUESTS, CANDIDATES).shape[2] == len(features.names)


def test_names_pick_families_and_columns() -> None:
    features = make(names=["similarity", "popularity.lift_all", "popularity.all"])
    assert features.names == [
        "popularity.all", "popularity.lift_all", "similarity.last", "similarity.best", "similarity.mean"
    ]  # fmt: skip
    np.testing.assert_array_equal(
        features.matrix(REQUESTS, CANDIDATES),
        np.stack([column(name) for name in features.names], axis=2),
    )


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ValidationError, match="did you mean 'covisitation'"):
        FeaturesConfig(names=("covisitations",))
    with pytest.raises(ConfigError, match=r"did you mean 'affinity\.tags'"):
        make(names=["affinity.tag"])
    with pytest.raises(ConfigError, match="similarity give no column"):
        make(names=["similarity"], item_vectors=None)
    with pytest.raises(ValidationError):
        FeaturesConfig(names=())


def test_tables_of_another_catalogue_are_refused() -> None:
    with pytest.raises(ConfigError, match="item_vectors has 59 rows, the statistics 60 items"):
        make(item_vectors=VECTORS[:-1])
    with pytest.raises(ConfigError, match="shop has 61 rows"):
        make(item_features=item_columns(61))


def test_large_categories_are_not_given_as_numbers() -> None:
    specs = {**SPECS, "shop": Spec("category", 300, 1)}
    assert "item.shop" not in make(item_specs=specs).names
    assert "affinity.shop" in make(item_specs=specs).names


def test_arrays_mapped_from_files_give_the_same_bits() -> None:
    def locked(array: Any) -> Any:
        view = array.view()
        view.flags.writeable = False
        return view

    features = make(
        item_features={name: locked(column) for name, column in ITEMS.items()}, item_vectors=locked(VECTORS)
    )
    np.testing.assert_array_equal(features.matrix(REQUESTS, CANDIDATES), MATRIX)
