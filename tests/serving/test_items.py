"""Items that come, change and go while a bundle serves."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
import threading
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from funnel import Live
from funnel.allow import Allow, unpacked
from funnel.artifacts import Store
from funnel.bundle.contents import Contents
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.where import Filters
from funnel.data import Column, Schema, Vocabulary
from funnel.errors import BundleError, DataError, FunnelError
from funnel.evaluation.metrics import compute_all
from funnel.features import Statistics
from funnel.index import ExactIndex, FaissIndex, IndexConfig
from funnel.serving.loaded import Loaded
from funnel.serving.request import Request, encode_request
from funnel.serving.state import SqliteLog, follower, overlay
from funnel.serving.state.catalogue import LiveCatalogue
from funnel.serving.state.filters import ChangedRows, LiveFilters
from funnel.serving.state.follower import Follower
from funnel.serving.state.items import LiveItems
from funnel.types import Log, Ragged
from tests.serving.test_reload import without_ranker
from tests.tiny import GENRES, TinyBuild


@pytest.fixture(scope="module")
def loaded(built: TinyBuild) -> Loaded:
    return Loaded.load(Store(built.indexes), "current")


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Store:
    shutil.copytree(built.indexes, tmp_path / "indexes")
    return Store(tmp_path / "indexes")


def frame(ids: list[Any], years: list[float], genres: list[str] | None = None) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "item_id": ids,
            "title": [f"Movie {one} ({year})" for one, year in zip(ids, years, strict=True)],
            "genres": [genres or [GENRES[int(year * 7) % len(GENRES)]] for year in years],
            "year": years,
        }
    )


class Opened:
    """A bundle with a log of its own."""

    def __init__(self, folder: Path, loaded: Loaded) -> None:
        self.log = SqliteLog(folder / "state.sqlite")
        self.follower = Follower(self.log, loaded)
        self.items = LiveItems(self.follower)

    @property
    def contents(self) -> Contents:
        return self.follower.follow().contents


def ids(answer: Any) -> list[Any]:
    return [item.item_id for item in answer.items]


Listed = list[tuple[Any, float]]


def answers(contents: Contents, living: Any = None) -> list[Listed]:
    """What each source and the index find and what the whole funnel answers, for a few users.

    living: the ids that may be returned, where the contents do not know that.
    """
    given = []
    for user in (1, 7, 100, None):
        requests, _ = encode_request(contents, Request(user))
        if living is not None:
            mask = np.isin(contents.catalogue.ids.values, list(living))
            mask = np.pad(mask, (0, contents.index.size - len(mask)))
            requests = replace(requests, allow=Allow.of(mask, 1))
        found = contents.funnel(8)(requests)
        lists = [source.find(requests, 8) for source in contents.sources()]
        lists.append(contents.index.search(contents.encoder.encode(requests), 80, allow=requests.allow))
        given += [listed(contents, *one) for one in [*lists, (found.items, found.scores)]]
    return given


def listed(contents: Contents, items: Any, scores: Any) -> Listed:
    """Ids and scores of one request."""
    rows = items[0][items[0] >= 0]
    names = contents.catalogue.ids.values[rows].tolist()
    return list(zip(names, scores[0][: len(rows)].tolist(), strict=True))


def check_same(found: list[Listed], expected: list[Listed]) -> None:
    """The same items with the same scores, up to the rounding of a tower that is run in batches of another
    size: two whose scores it cannot tell apart may change places, and with their ranks what is made of these.
    """
    near: dict[Any, list[Any]] = {}
    for one, other in zip(found, expected, strict=True):
        assert [score for _, score in one] == pytest.approx([score for _, score in other], abs=1e-4)
        scores, last = dict(other), other[-1][1] if other else 0
        assert len({item for item, _ in one}) == len(one)
        for item, score in one:
            alike = [scores.get(other, last) for other in near.get(item, [item])]
            assert any(score == pytest.approx(value, abs=1e-4) for value in alike)
        near = {item: [other for other, value in one if abs(value - score) < 1e-4] for item, score in one}


def from_scratch(own: Contents, built: TinyBuild, changed: dict[int, pd.DataFrame]) -> Contents:
    """The bundle as it would be with these items in its tables: rows sorted by id, every part made anew.

    What the ranker's features take of the catalogue as a whole (the mean events of an item, the rarity of a
    value) stays the bundle's own.
    """
    assert own.item_encoder is not None
    assert own.catalogue.encoder is not None
    every = Vocabulary.of([*own.catalogue.ids.values.tolist(), *changed])
    n, rows = len(every), every.rows(own.catalogue.ids.values)
    table = own.catalogue.frame
    if changed:
        rest = table[~table["item_id"].isin(list(changed))]
        table = pd.concat([rest, *changed.values()]).sort_values("item_id", ignore_index=True)
    features = own.catalogue.encoder.encode(table)
    vectors = own.item_encoder.encode(features)
    cold = own.item_encoder.encode(own.catalogue.features)
    moved = own.vectors + vectors[rows] - cold
    same = np.all(
        [
            (features[name][rows] == old).reshape(len(old), -1).all(1)
            for name, old in own.catalogue.features.items()
        ],
        0,
    )
    vectors[rows] = np.where(same[:, None], own.vectors, moved / np.linalg.norm(moved, axis=1, keepdims=True))

    def renumbered(log: Log) -> Log:
        return replace(log, items=rows[log.items], n_items=n)

    parts = built.prepared.split
    statistics = Statistics.fit(
        renumbered(parts.test_known), renumbered(parts.test_statistics), windows=own.statistics.windows
    )
    statistics.fitted_items = own.statistics.fitted_items
    history = own.users.history
    return replace(
        own,
        catalogue=Catalogue(every, table, features, own.catalogue.encoder),
        users=replace(own.users, history=Ragged(rows[history.values], history.offsets)),
        encoder=replace(own.encoder, item_vectors=vectors),
        index=ExactIndex(vectors),
        statistics=statistics,
        own=own,
    )


SOME = st.lists(st.sampled_from([3, 17, 89, 153, 174, *range(201, 207)]), min_size=1, max_size=4, unique=True)
CHANGES = st.one_of(
    st.tuples(st.just("upsert"), SOME, st.integers(0, 1000)),
    st.tuples(st.just("delete"), SOME, st.just(0)),
    st.tuples(st.just("compact"), st.just([]), st.just(0)),
    st.tuples(st.just("reopen"), st.just([]), st.just(0)),
)


@example(changes=[("upsert", [3, 206], 0), ("upsert", [205, 206, 201], 399)])
@given(changes=st.lists(CHANGES, max_size=8))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_after_any_changes_answers_are_those_of_a_bundle_made_from_scratch(
    built: TinyBuild, loaded: Loaded, changes: list[tuple[str, list[int], int]]
) -> None:
    few = loaded.contents.retrieve.model_copy(update={"k": 8})  # so that each place in a source counts
    loaded = replace(loaded, contents=replace(loaded.contents, retrieve=few))
    folder = Path(tempfile.mkdtemp())
    live = Opened(folder, loaded)
    changed: dict[int, pd.DataFrame] = {}
    living = set(loaded.contents.catalogue.ids.values.tolist())
    for what, some, number in changes:
        if what == "upsert":
            # Years that are like no other's: equal items have equal scores, and the earlier row is first.
            table = frame(some, [1980 + number / 40 + one / 7919 for one in some])
            live.items.upsert(table)
            changed |= {one: table.iloc[[place]] for place, one in enumerate(some)}
            living |= set(some)
        elif what == "delete":
            assert live.items.delete(some) == [one for one in some if one not in living]
            living -= set(some)
        elif what == "compact":
            before = answers(live.contents)
            live.items.compact()
            assert answers(live.contents) == before
        else:
            live.log.close()
            live = Opened(folder, loaded)
    found = answers(live.contents)
    check_same(found, answers(from_scratch(loaded.contents, built, changed), living))
    assert not {item for answer in found for item, _ in answer} - living
    live.log.close()
    shutil.rmtree(folder)


def test_a_new_item_is_in_the_next_answer_and_a_deleted_one_is_not(store: Store) -> None:
    live = Live(store.folder)
    first = ids(live.recommend(7))
    live.items.upsert(frame([1000, 1001], [1999, 2001], ["Western", "Comedy"]))
    assert set(ids(live.recommend(7, where={"genres": "Western"}))) == {1000, 1001}
    assert live.recommend(7, where={"genres": "Western"}).items[0].attributes["title"].startswith("Movie 100")
    assert {1000, 1001} <= set(ids(live.recommend(7, k=500)))
    assert live.items.delete([first[0], 1000, "no such item", 99_999]) == ["no such item", 99_999]
    assert ids(live.recommend(7, where={"genres": "Western"})) == [1001]
    assert not {first[0], 1000} & set(ids(live.recommend(7, k=500)))
    assert not {first[0], 1000} & set(ids(live.recommend("new", k=500, where={"not": {"year": {"lt": 0}}})))
    assert len(ids(live.recommend(7))) == 10
    assert live.items.delete([1000]) == [1000]
    live.items.upsert(frame([1000], [1999], ["Western"]))
    assert 1000 in ids(live.recommend(7, where={"genres": "Western"}))


def test_an_upsert_replaces_the_columns_of_an_item(store: Store) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([5], [1900], ["Western"]))
    (item,) = live.recommend("new", where={"genres": "Western"}).items
    assert (item.item_id, item.attributes["year"]) == (5, 1900)
    assert 5 not in ids(live.recommend("new", k=500, where={"year": {"gt": 1950}}))
    assert live.contents.statistics.counts(np.array([4]), np.array([2**40]))[0] > 0  # what it was met is kept


def test_an_upsert_with_nothing_new_changes_no_answer(store: Store) -> None:
    live = Live(store.folder)
    before = [ids(live.recommend(user, k=50)) for user in (7, 100)]
    live.items.upsert(live.contents.catalogue.frame.iloc[:50])
    assert [ids(live.recommend(user, k=50)) for user in (7, 100)] == before


def test_changes_survive_a_restart_and_another_bundle(store: Store) -> None:
    live = Live(store.folder, watch=None)
    first = ids(live.recommend(7))
    live.items.upsert(frame([1000], [1999], ["Western"]))
    live.items.delete(first[:2])
    store.publish(without_ranker(store))
    assert live.refresh()
    for one in (live, Live(store.folder)):
        assert ids(one.recommend(7, where={"genres": "Western"})) == [1000]
        assert not set(first[:2]) & set(ids(one.recommend(7, k=500)))


def test_a_bundle_that_cannot_encode_new_items_serves_without_them(store: Store) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([1000], [1999], ["Western"]))
    live.items.delete([5])
    older = replace(live.overlay.bundle)
    without = replace(older, contents=replace(older.contents, item_encoder=None))
    live._parts.follower.reload(without)
    assert 5 not in ids(live.recommend("new", k=500))
    assert live.health()["state"]["skipped"] == 1
    with pytest.raises(BundleError, match="build it again"):
        live.items.upsert(frame([1001], [1999], ["Western"]))
    live._parts.follower.reload(older)
    assert ids(live.recommend(7, where={"genres": "Western"})) == [1000]


def test_nobody_is_dropped_and_no_deleted_item_comes_back(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "COMPACT_AT", 3)
    live = Live(store.folder, watch=0.01)
    versions = [live.version, without_ranker(store)]
    stop, gone, errors, asked = threading.Event(), set[int](), [], [0]

    def ask_on() -> None:
        while not stop.is_set():
            try:
                before = set(gone)
                answer = live.recommend(7, k=20)
                assert len(answer.items) == 20
                assert not before & set(ids(answer)), "a deleted item was returned"
                asked[0] += 1
            except BaseException as error:
                errors.append(error)

    threads = [threading.Thread(target=ask_on) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(12):
        live.items.upsert(frame([1000, 1001, 1002], [1980.0 + number] * 3, ["Comedy", "Drama"]))
        if number % 3 == 0:
            store.publish(versions[(number // 3 + 1) % 2])
        victim = ids(live.recommend(7))[0]
        live.items.delete([victim])
        if victim < 1000:
            gone.add(victim)
        if number % 4 == 0:
            live.items.compact()
    stop.set()
    for thread in threads:
        thread.join()
    live.close()
    assert errors == []
    assert asked[0] > 20


@pytest.mark.parametrize("spec", ["Flat", "IVF8,Flat"])
def test_a_compaction_changes_no_list_and_no_metric(
    built: TinyBuild, loaded: Loaded, tmp_path: Path, spec: str
) -> None:
    own, examples = loaded.contents, built.prepared.split.test
    index = FaissIndex.build(
        own.vectors, IndexConfig(spec=spec, recall=1.0), own.encoder.encode(examples.requests)
    )
    opened = Opened(tmp_path, replace(loaded, contents=replace(own, index=index)))
    live = opened.items
    live.upsert(frame([3, 17, *range(1000, 1030)], [1980 + one / 7 for one in range(32)]))
    live.delete([5, 1003])

    def shown() -> Any:
        contents = opened.contents
        requests = replace(examples.requests, allow=contents.catalogue.living(len(examples)))
        return contents.funnel(10)(requests).items

    before, waiting = shown(), live.waiting
    live.compact()
    after = shown()
    assert (waiting, live.waiting) == (31, 0)
    np.testing.assert_array_equal(after, before)
    names = ("ndcg@10", "recall@10")
    metrics = [compute_all(names, items, examples.targets) for items in (before, after)]
    for name in names:
        np.testing.assert_array_equal(metrics[0][name], metrics[1][name])
        assert metrics[0][name].mean() > 0


def test_items_that_come_and_go_while_an_index_is_built_crowd_nobody_out(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([900], [1990.0], ["Western"]))
    before = [ids(live.similar(900, 100)), ids(live.recommend("x", 120, history=[900]))]
    built_index = overlay.Overlay.built_index

    def meanwhile(own: overlay.Overlay, n: int) -> FaissIndex:
        index = built_index(own, n)
        live.items.upsert(frame([*range(2000, 2300)], [1990.0] * 300, ["Western"]))
        live.items.delete(range(2000, 2300))
        return index

    monkeypatch.setattr(overlay.Overlay, "built_index", meanwhile)
    live.items.compact()
    assert live.items.waiting == 0
    assert [ids(live.similar(900, 100)), ids(live.recommend("x", 120, history=[900]))] == before
    live.close()


def test_beyond_its_bound_the_delta_becomes_part_of_the_index(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "MOST", 10)
    live = Live(store.folder)
    live.items.upsert(frame(list(range(1000, 1030)), [1990 + one / 7 for one in range(30)]))
    assert live.items.waiting == 0
    assert {*range(1000, 1030)} <= set(ids(live.recommend(7, k=500)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda table: table.drop(columns="year"), r"items has no column 'year'"),
        (lambda table: table.drop(columns="item_id"), r"items has no column 'item_id'"),
        (lambda table: table.rename(columns={"year": "yaer"}), r"items has no column 'year'"),
        (lambda table: table.assign(yaer=1), r"does not declare: yaer; did you mean 'year'\?"),
        (lambda table: table.assign(year="old"), r"items\.year is declared as a number.*'old'"),
        (lambda table: table.assign(title=[[1]]), r"items\.title holds \[1\]"),
        (lambda table: table.assign(item_id="one"), r"item_id 'one' is a text.*whole numbers"),
        (lambda table: table.assign(item_id=None), r"items\.item_id has no id"),
        (lambda table: table.assign(item_id=pd.Series([2**63], dtype=object)), "more than 64 bits"),
        (lambda table: pd.concat([table, table]), r"items\.item_id 1000 is there twice"),
        (lambda table: table.to_dict("records"), r"items is a list: a pandas DataFrame"),
    ],
)
def test_a_table_that_is_wrong_changes_nothing(store: Store, change: Any, message: str) -> None:
    live = Live(store.folder)
    before = live.contents
    with pytest.raises(DataError, match=message):
        live.items.upsert(change(frame([1000], [1999.0])))
    assert live.contents is before


def test_values_that_are_missing_or_were_never_seen_are_taken(store: Store) -> None:
    live = Live(store.folder)
    table = pd.DataFrame(
        {"item_id": ["1000", "1001"], "title": None, "genres": [["Noir"], None], "year": None}
    )
    live.items.upsert(table)
    live.items.upsert(table.iloc[:0])
    for one in (live, Live(store.folder)):
        assert ids(one.recommend(7, where={"genres": "Noir"})) == [1000]
        assert {1000, 1001} <= set(ids(one.recommend(7, k=500)))


@pytest.mark.parametrize("given", ["1000", 7, None, pd.DataFrame({"item_id": [125]}), {"item_id": 125}])
def test_what_is_no_list_of_ids(store: Store, given: Any) -> None:
    live = Live(store.folder)
    with pytest.raises(FunnelError, match="a list of item ids is expected"):
        live.items.delete(given)
    assert 125 in ids(live.recommend("x", k=500))


def test_a_store_that_cannot_be_written_refuses_changes_and_serves(store: Store) -> None:
    live = Live(store.folder)
    (store.folder / "live").write_text("in the way")
    before = ids(live.recommend(7))
    with pytest.raises(BundleError, match=r"state\.sqlite cannot be"):
        live.items.upsert(frame([1000], [1999.0]))
    with pytest.raises(BundleError, match=r"state\.sqlite cannot be"):
        live.items.delete(before[:1])
    assert ids(live.recommend(7)) == before


def test_every_live_changes_items_and_knows_what_others_changed(store: Store) -> None:
    one, other = Live(store.folder), Live(store.folder)
    one.items.upsert(frame([1000], [1999.0], ["Western"]))
    assert ids(other.recommend(7, where={"genres": "Western"})) == [1000]
    assert other.items.delete([1001]) == [1001]
    assert other.items.delete([1000]) == []
    assert ids(one.recommend(7, where={"genres": "Western"})) == []
    other.items.upsert(frame([1000, 1001], [1999.0, 2000.0], ["Western"]))
    assert one.items.patch([1001, 77_777], {"year": 1920}) == [77_777]
    for live in (one, other, Live(store.folder)):
        assert set(ids(live.recommend(7, where={"genres": "Western"}))) == {1000, 1001}
        assert ids(live.recommend(7, where={"genres": "Western", "year": {"lt": 1950}})) == [1001]


def test_a_patched_number_is_shown_filtered_and_ranked_by_and_the_vector_stays(store: Store) -> None:
    live = Live(store.folder)
    row = live.contents.catalogue.ids.row(5)
    vector, before = live.contents.vectors[row].copy(), live.contents.catalogue.features["year"][row].copy()
    live.items.patch([5, "6"], {"year": [1901, None]})
    answer = live.recommend("new", where={"year": {"lt": 1950}})
    assert [(item.item_id, item.attributes["year"]) for item in answer.items] == [(5, 1901)]
    assert ids(live.recommend("new", k=500, where={"not": {"year": {"gt": 0}}})) == [6]
    features = live.contents.candidate_features()
    column = features.names.index("item.year")
    requests, _ = encode_request(live.contents, Request("new"))
    ranked = live.contents.funnel(500)(requests)
    values = features.matrix(requests, ranked)[0, :, column]
    encoded = live.contents.catalogue.encoder.encode_column("year", [1901])[0, 0]
    assert values[ranked.items[0] == row] == [encoded]
    assert np.isnan(values[ranked.items[0] == row + 1]).all()
    np.testing.assert_array_equal(live.contents.vectors[row], vector)
    live.items.forget([5, 6])
    np.testing.assert_array_equal(live.contents.catalogue.features["year"][row], before)
    assert ids(live.recommend("new", where={"year": {"lt": 1950}})) == []
    live.items.patch([5], {"year": 1901})
    live.items.upsert(live.contents.catalogue.frame.iloc[[row]])  # says all that there is to say of it
    for one in (live, Live(store.folder)):
        assert ids(one.recommend("new", where={"year": {"lt": 1950}})) == []


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"title": "x"}, "title cannot be patched; these can: year"),
        ({"yaer": 1}, "yaer cannot be patched"),
        ({"year": "old"}, r"items\.year.*'old'"),
        ({"year": [1, 2, 3]}, "3 values for 2 ids"),
        ({"year": {5: 1999, 6: 1998}}, r"items\.year is \{5: 1999, 6: 1998\}: one value"),
        ({"year": {1999, 1998}}, "or a list of one for each id"),
        ({"year": b"ab"}, r"items\.year.*b'ab'"),
        ({"year": np.array([[1.0, 2.0], [3.0, 4.0]])}, r"items\.year is declared as a number"),
        ({3: 1}, "items.3 cannot be patched"),
    ],
)
def test_a_patch_that_is_wrong_changes_nothing(store: Store, columns: Any, message: str) -> None:
    live = Live(store.folder)
    with pytest.raises(DataError, match=message):
        live.items.patch([5, 6], columns)
    assert live.health()["state"]["patches"] == 0


@pytest.mark.parametrize("columns", [None, [("year", 3)], "year", 5, b"year"])
def test_columns_of_a_patch_are_by_name(store: Store, columns: Any) -> None:
    live = Live(store.folder)
    with pytest.raises(FunnelError, match=r"columns is .*; columns by name are expected, like"):
        live.items.patch([5, 6], columns)
    with pytest.raises(FunnelError, match=r"changes of item 5 is .*; columns by name are expected"):
        live.items.patch_each({6: {"year": 1}, 5: columns})
    with pytest.raises(FunnelError, match=r"changes is .*; columns by item id are expected, like"):
        live.items.patch_each(columns)
    with pytest.raises(DataError, match=r"items.4 cannot be patched"):
        live.items.patch_each({5: {"year": 3, 4: 4}})
    assert live.health()["state"]["patches"] == 0


@pytest.mark.parametrize("number", ["x", None, -1, 1.5, True])
def test_changes_are_counted_in_whole_numbers(store: Store, number: Any) -> None:
    live = Live(store.folder)
    with pytest.raises(FunnelError, match=r"calls is .* a whole number of at least 0"):
        live.items.changes(calls=number)
    with pytest.raises(FunnelError, match=r"most is .* a whole number of at least 0"):
        live.items.changes(most=number)
    assert live.items.changes(0, 10**40) == []


def test_what_is_forgotten_of_an_item_is_as_the_bundle_has_it(store: Store) -> None:
    live, other = Live(store.folder), Live(store.folder)
    before = ids(live.recommend("new", k=500))
    live.items.upsert(frame([5, 1000], [1900, 1901], ["Western"]))
    live.items.delete([7])
    live.items.forget([5, 7, 1000, "no such item"])
    for one in (live, other, Live(store.folder)):
        assert ids(one.recommend("new", k=500)) == before
        assert ids(one.recommend("new", where={"genres": "Western"})) == []
    live.items.upsert(frame([1000], [1901], ["Western"]))
    assert ids(other.recommend("new", where={"genres": "Western"})) == [1000]


def test_more_new_items_than_there_was_room_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlay, "SPARE", 8)
    monkeypatch.setattr(overlay, "SPARE_PART", 1000)
    live = Live(store.folder)
    live.observe((7, 5))
    for first in range(1000, 1040, 5):
        live.items.upsert(frame(list(range(first, first + 5)), [1990 + one / 7 for one in range(5)]))
    live.items.delete([1001])
    shown = set(ids(live.recommend(8, k=1000)))
    assert {1000, *range(1002, 1040)} <= shown
    assert 1001 not in shown
    assert live.history(7)[-1] == 5


def damaged(store: Store, old: bytes, new: bytes) -> None:
    """The state's file with some bytes that are others."""
    live = Live(store.folder)
    live.items.upsert(frame([1000], [1999.0], ["Western"]))
    live.observe((7, 5))
    live.close()
    path = store.folder / "live" / "state.sqlite"
    content = path.read_bytes()
    assert old in content
    path.write_bytes(content.replace(old, new))


@pytest.mark.parametrize("way", ["a value", "the file", "half"])
def test_a_damaged_state_is_an_error_that_names_the_file(store: Store, way: str) -> None:
    damaged(store, *{"a value": (b"Western", b"Eastern")}.get(way, (b"SQLite", b"SQLite")))
    path = store.folder / "live" / "state.sqlite"
    if way == "the file":
        path.write_bytes(b"x" * 10_000)
    elif way == "half":
        content = path.read_bytes()
        path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(
        BundleError, match=r"state\.sqlite.* damaged.*remove it to serve the bundle as it was"
    ):
        Live(store.folder)
    path.unlink()
    assert Live(store.folder).recommend(7).items


def test_a_state_that_is_damaged_while_it_serves_is_told(store: Store) -> None:
    live = Live(store.folder)
    live.items.upsert(frame([1000], [1999.0], ["Western"]))
    live.items.delete([7])
    for path in (store.folder / "live").iterdir():
        path.unlink()
    (store.folder / "live" / "state.sqlite").write_bytes(b"x" * 10_000)
    answer = live.recommend("new", k=500)
    assert "state_unreadable" in answer.reasons
    assert 1000 in ids(answer)
    assert 7 not in ids(answer)
    assert "damaged" in live.health()["state"]["error"]
    with pytest.raises(BundleError, match="damaged"):
        live.items.delete([8])


def test_a_state_of_a_newer_funnel_is_refused(store: Store) -> None:
    Live(store.folder).items.delete([5])
    with sqlite3.connect(store.folder / "live" / "state.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(BundleError, match="newer funnel"):
        Live(store.folder)


def test_the_state_is_as_long_as_what_it_says(store: Store) -> None:
    live = Live(store.folder)
    for number in range(30):
        live.items.upsert(frame([1000], [1990.0 + number], ["Western"]))
        live.items.patch([1000, 5], {"year": float(number)})
        live.items.delete([6])
        live.items.forget([6])
    assert {"items": 2, "patches": 2}.items() <= live.health()["state"].items()


@example(changes=[("upsert", [3, 206], 0), ("upsert", [205, 206, 201], 399)])
@given(changes=st.lists(CHANGES, max_size=6))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_filters_that_are_kept_go_by_the_values_of_now(
    loaded: Loaded, changes: list[tuple[str, list[int], int]]
) -> None:
    """Asked after each change, as what the columns of all living items say, one by one."""
    folder = Path(tempfile.mkdtemp())
    live = Opened(folder, loaded)
    wheres: list[tuple[dict[str, Any], Any]] = [
        ({"year": {"ge": 1985, "lt": 1995}}, lambda year, genres: 1985 <= (year or 0) < 1995),
        ({"genres": ["Comedy", "Western"]}, lambda year, genres: {"Comedy", "Western"} & set(genres)),
        ({"not": {"year": {"gt": 0}}}, lambda year, genres: not (year or 0) > 0),
    ]
    for number, (what, some, seed) in enumerate([("none", [], 0), *changes]):
        if what == "upsert":
            live.items.upsert(frame(some, [1980 + seed / 40] * len(some), ["Western"] if seed % 2 else None))
        elif what == "delete":
            live.items.delete(some)
        elif what == "compact":
            live.items.patch([5, 17, 201], {"year": None if number % 2 else 1990.5})
        elif what == "reopen":
            live.items.forget([3, 17, 201])
        catalogue = live.contents.catalogue
        n = len(catalogue.ids)
        rows = np.arange(n)
        living = catalogue.is_living(rows)  # type: ignore[attr-defined]
        records = catalogue.records(rows)
        for where, passes in wheres:
            expected = [
                bool(alive and passes(_number(record["year"]), record["genres"]))
                for alive, record in zip(living, records, strict=True)
            ]
            assert catalogue.allow(where).masks()[0, :n].tolist() == expected
    live.log.close()
    shutil.rmtree(folder)


def _number(value: Any) -> Any:
    return None if value is None or value != value else value


def test_a_change_and_a_filter_cost_by_what_changes() -> None:
    """Bytes, at a million rows: none of it is copied but one bit a row of the filter that is asked for."""
    n = 1_000_000
    own = Filters.of(pd.DataFrame({"price": np.arange(n, dtype=np.float64)}))
    prices, changed = np.arange(n + 100, dtype=np.float64), ChangedRows(n + 100)
    filters = LiveFilters(own, n + 100, changed, lambda name, rows: prices[rows].tolist())
    where = {"price": {"lt": 1000}}
    before = filters.compile(where)
    changed.add(np.array([3], dtype=np.int32))
    filters.compile(where)
    tracemalloc.start()
    prices[[5, n + 7]] = [5000, 1]
    changed.add(np.array([5, n + 7], dtype=np.int32))
    one = tracemalloc.get_traced_memory()[1]
    after = filters.compile(where)
    two = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert one < 50_000
    assert two < 2 * (n // 8) + 50_000
    assert np.flatnonzero(unpacked(before ^ after, n + 100)).tolist() == [5, n + 7]


def test_a_filter_that_is_kept_costs_a_request_one_bitmap() -> None:
    n = 1_000_000
    own = Catalogue(Vocabulary(np.arange(n)), pd.DataFrame({"price": np.arange(n, dtype=np.float64)}), {})
    catalogue = LiveCatalogue.over(own, Schema(items=(Column(name="price", kind="number"),)), n + 100)
    catalogue.set_living(np.array([5]), False)
    where = {"price": {"lt": 1000}}
    catalogue.allow(where)
    tracemalloc.start()
    allow = catalogue.allow(where)
    high = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert high < n // 8 + 50_000
    assert np.flatnonzero(allow.masks()[0]).tolist() == [*range(5), *range(6, 1000)]
