"""Rules through `Live`: what they do to an answer, what is said of them, and caps over processes."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import BundleError, DataError
from funnel.rules import codes
from funnel.serving.loaded import Loaded
from funnel.serving.response import Answer
from tests.processes import python
from tests.serving.test_items import frame
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild

Open = Callable[..., Live]


@pytest.fixture
def ruled(built: TinyBuild, tmp_path: Path) -> Open:
    """A copy of the store, with a bundle that has these rules, and other settings where they are given."""

    def opened(*rules: dict[str, Any], **settings: Any) -> Live:
        shutil.copytree(built.indexes, tmp_path / "indexes")
        store = Store(tmp_path / "indexes")

        def declare(folder: Path) -> None:
            path = folder / "serve.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | {"rules": rules} | settings))

        store.publish(variant(store, declare))
        return Live(store.folder)

    return opened


def ids(answer: Answer) -> list[Any]:
    return [item.item_id for item in answer.items]


def genres(answer: Answer) -> list[list[str]]:
    return [item.attributes["genres"] for item in answer.items]


def most(answer: Answer) -> int:
    every = [genre for some in genres(answer) for genre in some]
    return max(every.count(genre) for genre in every)


def test_at_most_so_many_of_a_value(ruled: Open, built: TinyBuild) -> None:
    live, plain = ruled({"kind": "at_most", "column": "genres", "n": 3}), Live(built.indexes)
    users = list(range(1, 40))
    assert max(most(plain.recommend(user)) for user in users) > 3
    for user, together in zip(users, live.recommend_many(users), strict=True):
        answer = live.recommend(user)
        assert len(answer.items) == 10
        assert most(answer) <= 3
        assert answer.reasons == plain.recommend(user).reasons
        assert ids(together) == ids(answer)
        assert "rules" in answer.milliseconds
    assert "rules" not in plain.recommend(1).milliseconds


def test_what_gives_way_is_said_and_no_position_stays_empty(ruled: Open) -> None:
    live = ruled({"kind": "at_most", "column": "genres", "n": 1, "name": "one of each"})
    answer = live.recommend(1)
    assert len(answer.items) == 10  # of five genres
    assert "gave_way:one of each" in answer.reasons
    assert [len(some) for some in genres(answer)] == [1] * 10  # so that as little as can be gives way


def test_a_strict_rule_rather_leaves_positions_empty(ruled: Open) -> None:
    live = ruled({"kind": "at_most", "column": "genres", "n": 1, "strict": True})
    answer = live.recommend(1)
    assert most(answer) == 1
    assert len(answer.items) == 5
    assert "fewer_than_k" in answer.reasons


def test_pinned_items_and_what_keeps_them_out(ruled: Open) -> None:
    live = ruled({"kind": "pin", "item": 150, "position": 2, "name": "deal"})
    fresh = next(user for user in range(1, 300) if 150 not in live.history(user))
    first = live.recommend(fresh)
    assert ids(first)[1] == 150
    assert "rule:deal" in first.items[1].reasons
    assert ids(live.recommend(fresh, 1)) == [ids(first)[0]]  # about a position that is not asked for
    for answer in (
        live.recommend(fresh, exclude=[150]),
        live.recommend(fresh, where={"not": {"title": live.contents.catalogue.title(150)}}),
    ):
        assert 150 not in ids(answer)
        assert "gave_way:deal" in answer.reasons
        assert len(answer.items) == 10
    live.items.delete([150])
    assert "gave_way:deal" in live.recommend(fresh).reasons
    live.items.upsert(frame([150], [1999.0]))
    assert ids(live.recommend(fresh))[1] == 150


def test_candidates_of_a_kind_are_looked_for_where_there_are_too_few(ruled: Open) -> None:
    live = ruled(
        {"kind": "at_least", "where": {"genres": "Western"}, "n": 2},
        {"kind": "reserve", "where": {"year": {"ge": 2050}}, "positions": [1], "name": "new"},
    )
    assert {"gave_way:at_least", "gave_way:new"} <= set(live.recommend(7).reasons)
    live.items.upsert(frame(list(range(1000, 1004)), [2001.0, 2002.0, 2051.0, 2052.0], ["Western"]))
    answer = live.recommend(7)
    assert not [code for code in answer.reasons if code.startswith("gave_way")]
    assert ids(answer)[0] in {1002, 1003}
    assert sum(some == ["Western"] for some in genres(answer)) == 2
    assert "rule:new" in answer.items[0].reasons


def test_boost_and_bury(ruled: Open, built: TinyBuild) -> None:
    live = ruled(
        {"kind": "boost", "where": {"genres": "Horror"}, "to": "back", "name": "no horror"},
        {"kind": "boost", "where": {"genres": "Drama"}, "to": "front", "name": "drama"},
    )
    every = genres(live.recommend(7, 100))
    horror = ["Horror" in some for some in every]
    drama = ["Drama" in some and "Horror" not in some for some in every]
    assert horror == sorted(horror)
    assert drama == sorted(drama, reverse=True)
    assert "rule:drama" in live.recommend(7).items[0].reasons


def test_a_rule_goes_by_what_was_changed(ruled: Open) -> None:
    live = ruled({"kind": "at_most", "column": "year", "n": 1, "strict": True})
    before = ids(live.recommend(7))
    live.items.patch(before[:2], {"year": 1800.0})
    after = live.recommend(7)
    assert len({before[0], before[1]} & set(ids(after))) == 1
    years = [item.attributes["year"] for item in after.items]
    assert len(set(years)) == len(years) == 10


def test_values_that_no_item_has_any_more_are_forgotten_and_rules_hold(
    ruled: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(codes, "VALUES", 4)
    live = ruled(
        {"kind": "at_most", "column": "year", "n": 1, "name": "years"},
        {"kind": "apart", "column": "year", "values": [[3001, 3002]], "name": "rivals"},
    )
    first, second = ids(live.recommend(1, k=40))[:2]
    for year in range(3010, 3050):
        live.items.patch([first], {"year": float(year)})
        assert first in ids(live.recommend(1))
    known = live.health()["memory"]["rule_values"]
    assert 0 < known["size"] <= known["bound"] <= 20
    many = [item for item in ids(live.recommend(1, k=40)) if item not in {first, second}][:30]
    live.items.patch(many, {"year": [float(4000 + n) for n in range(30)]})
    live.recommend(1)
    known = live.health()["memory"]["rule_values"]
    assert 30 < known["size"] <= known["bound"] <= 4 + 2 * 35  # what items have stays known
    live.items.patch(many, {"year": [None] * 30})

    def best(*years: float) -> set[int]:
        live.items.patch([first], {"year": years[0]})
        live.items.patch([second], {"year": years[1]})
        return {first, second} & set(ids(live.recommend(1)))

    assert best(3049.0, 3048.0) == {first, second}
    assert len(best(3012.0, 3012.0)) == 1  # known, forgotten, and known again
    assert len(best(3001.0, 3002.0)) == 1  # of a rule, and never an item's before
    live.items.patch([first], {"year": 5000.0})
    for n in range(6000, 6100):
        live.items.patch(many[:1], {"year": float(n)})
        live.recommend(1)
    live.items.patch([second], {"year": 5000.0})
    assert len({first, second} & set(ids(live.recommend(1)))) == 1  # an item has it all the while
    assert best(3001.0, 3003.0) == {first, second}


def test_competitors_are_not_together(ruled: Open) -> None:
    live = ruled(
        {"kind": "apart", "column": "genres", "values": [["Drama", "Comedy"], ["Horror", "Romance"]]}
    )
    for user in range(1, 30):
        answer = live.recommend(user)
        present = {genre for some in genres(answer) for genre in some}
        assert not {"Drama", "Comedy"} <= present
        assert not {"Horror", "Romance"} <= present


def test_a_cap_counts_impressions_and_nothing_else_does(ruled: Open) -> None:
    live = ruled({"kind": "cap", "column": "item_id", "shows": 2, "per": "1h"})
    first = live.recommend(7)
    item, history = ids(first)[0], live.history(7)
    live.observe((7, item), kind="impression")
    assert ids(live.recommend(7)) == ids(first)
    live.observe((7, item), (7, "no such item"), ("nobody", item), kind="impression")
    assert item not in ids(live.recommend(7))
    assert ids(live.recommend(7))[:9] == ids(first)[1:]
    assert len(live.recommend(7).items) == 10
    assert item not in ids(live.recommend_many([7])[0])
    assert live.history(7) == history
    later = int(time.time()) + 3601
    assert item in ids(live.recommend(7, 150, time=later))
    assert item not in ids(live.recommend(7, 150, time=later - 120))
    assert live.health()["state"]["impressions"] == 4
    assert live.users.forget(7).impressions == 3
    assert item not in [*live.history(7)]


def test_what_is_left_of_a_cap_is_what_one_answer_may_use(ruled: Open) -> None:
    live = ruled({"kind": "cap", "column": "genres", "shows": 4, "per": "1d"})
    assert most(live.recommend(7)) == 4
    horror = [
        row
        for row in range(1, 200)
        if "Horror" in live.contents.catalogue.records(live.contents.catalogue.ids.rows([row]))[0]["genres"]
    ]
    live.observe(*[(7, item) for item in horror[:3]], kind="impression")
    every = [genre for some in genres(live.recommend(7)) for genre in some]
    assert every.count("Horror") <= 1
    live.observe((7, horror[3]), kind="impression")
    assert not any("Horror" in some for some in genres(live.recommend(7)))


def test_impressions_that_cannot_be_read_show_nothing_that_has_a_cap(ruled: Open) -> None:
    live = ruled({"kind": "cap", "column": "genres", "shows": 4, "per": "1d"})
    live.observe((7, 1), kind="impression")
    live.close()
    path = Path(live._parts.impressions.path)
    for name in ("", "-wal", "-shm"):
        path.with_name(path.name + name).unlink(missing_ok=True)
    path.write_bytes(b"no database" * 1000)
    answer = live.recommend(7)
    assert answer.items == ()
    assert "state_unreadable" in answer.reasons
    with pytest.raises(BundleError, match="damaged"):
        live.observe((7, 1), kind="impression")
    with pytest.raises(BundleError, match="damaged"):
        Live(live.folder)


def test_a_budget_that_is_spent_is_out_in_the_next_answer(ruled: Open) -> None:
    """The movies have one column of numbers, which is limit and spent here: what has a year is spent."""
    live = ruled({"kind": "budget", "limit": "year", "spent": "year"})
    answer = live.recommend(7)
    assert answer.items == ()
    assert "all_filtered" in answer.reasons
    live.items.patch([20, 21, 22], {"year": None})
    assert set(ids(live.recommend("new"))) == {20, 21, 22}
    assert set(ids(live.recommend_many(["new"])[0])) == {20, 21, 22}
    live.items.patch([21], {"year": 0.0})
    assert set(ids(live.recommend("new"))) == {20, 22}


def test_what_may_be_shown_is_found_behind_many_that_may_not(ruled: Open) -> None:
    """Each further search finds some forty: that most are out of budget is no reason to look at fewer. One
    source has one order, however often it is asked; that of several together goes by the search too."""
    towers = {"retrieve": {"k": 40, "sources": ["towers"]}, "weights": {"towers": 1.0}, "use_ranker": False}
    live = ruled({"kind": "budget", "limit": "year", "spent": "year"}, **towers)
    live.items.patch(list(range(1, 201)), {"year": None})
    ranked = ids(live.recommend("new", 200))
    live.items.patch(ranked[:130], {"year": 0.0})
    assert ids(live.recommend("new", 5)) == ids(live.recommend("new", 5, exclude=ranked[:130]))
    assert len(live.recommend("new").items) == 10


def test_no_list_is_shorter_than_what_may_be_shown(ruled: Open) -> None:
    """Twelve that have no budget, far behind all searches."""
    retrieve = {"k": 10, "sources": ["towers", "popular"]}
    live = ruled({"kind": "budget", "limit": "year", "spent": "year"}, retrieve=retrieve, use_ranker=False)
    live.items.patch(list(range(1, 201)), {"year": None})
    ranked = ids(live.recommend("new", 200))
    free = ranked[110:140:2]
    live.items.patch([item for item in ranked if item not in free], {"year": 0.0})
    live.items.delete(free[:3])
    assert ids(live.recommend("new", 100)) == free[3:]
    assert ids(live.recommend("new", 100, exclude=free[3:5])) == free[5:]
    seven = ids(live.recommend("new", 7))  # the order of several sources goes by the search, too
    assert len(set(seven)) == 7
    assert set(seven) <= set(free[3:])


def test_a_column_of_money_may_be_counted_too(ruled: Open) -> None:
    live = ruled(
        {"kind": "budget", "limit": "year", "spent": "year", "by": "year", "name": "money"},
        {"kind": "at_most", "column": "year", "n": 2, "strict": True},
    )
    assert live.recommend(7).items == ()
    live.items.patch([20, 21, 22], {"year": None})
    assert set(ids(live.recommend("new"))) == {20, 21, 22}


def of_no_value(answer: Answer, code: str = "no_value") -> list[bool]:
    return [code in item.reasons for item in answer.items]


@pytest.mark.parametrize("trade_off", [1.0, 0.7])
@pytest.mark.parametrize("kind", ["mmr", "dpp"])
def test_what_has_no_value_stays_behind_whatever_is_boosted(ruled: Open, trade_off: float, kind: str) -> None:
    """Also drawn lists, which are the same where nothing is left to chance."""
    live = ruled(
        {"kind": "boost", "where": {"genres": "Drama"}, "add": 1000.0, "name": "push"},
        {"kind": "at_most", "column": "genres", "n": 150, "name": "any"},
        rank={"value": "p_event * (year - 1979)", "floor": {"year": 1990.0}},
        rerank={"trade_off": trade_off, "kind": kind},
        explore={"temperature": 1e-9, "epsilon": 0.0, "top": 50, "share": 1.0},
    )
    live.items.patch(list(range(1, 200, 4)), {"year": None})
    for user in range(1, 6):
        greedy, drawn = (live.recommend(user, 60, seed=seed) for seed in (-1, 1))
        for answer in (greedy, drawn):
            unknown, below = of_no_value(answer), of_no_value(answer, "below_floor")
            assert sorted(unknown) == unknown
            assert sorted(below[: unknown.count(False)]) == below[: unknown.count(False)]
            assert any("rule:push" in item.reasons for item in answer.items)
        assert any(of_no_value(live.recommend(user, 150, seed=-1)))
        if trade_off == 1:
            assert [item.score for item in greedy.items] == [item.score for item in drawn.items]


def test_a_later_impression_says_nothing_of_an_earlier_moment(
    ruled: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = ruled({"kind": "cap", "column": "item_id", "shows": 1, "per": "1h"})
    now = int(time.time())
    first, second = ids(live.recommend(7))[:2]
    live.observe((7, first, now), kind="impression")
    for ahead in (0, 300, -300):  # two clocks may differ by as much
        assert first not in ids(live.recommend(7, 150, time=now + ahead))
    for ahead in (-86_400, -3600, 3601):
        assert first in ids(live.recommend(7, 150, time=now + ahead))
    with monkeypatch.context() as ahead_once:
        ahead_once.setattr(time, "time", lambda: now + 400 * 86_400.0)
        live.observe((7, second), kind="impression")
    assert second in ids(live.recommend(7))


def test_an_answer_says_of_its_own_request_whether_its_state_could_be_read(
    ruled: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one waits others answer: what they could read, or not, is theirs."""
    live = ruled({"kind": "cap", "column": "item_id", "shows": 3, "per": "1d"})
    impressions, users, answering = live._parts.impressions, live._parts.users, Loaded.for_requests
    read, events, others = impressions.of, users.events, [9]

    def of(user: str, after: int) -> Any:
        if user == "7":
            raise BundleError("it did not answer")
        if user == "8":
            assert "state_unreadable" in live.recommend(7).reasons
        return read(user, after)

    def meanwhile(*args: Any) -> Any:
        if others:
            assert live.recommend(others.pop()).reasons == ()
        return answering(*args)

    monkeypatch.setattr(impressions, "of", of)
    alone = live.recommend(7)
    assert alone.items == ()
    assert "state_unreadable" in alone.reasons
    assert live.health()["state"]["error"] == "it did not answer"
    monkeypatch.setattr(Loaded, "for_requests", meanwhile)
    assert live.recommend(7).reasons == alone.reasons
    assert not others
    other = live.recommend(8)
    assert other.reasons == ()
    assert len(other.items) == 10
    assert live.health()["state"]["error"] is None
    together = live.recommend_many([7, 9])
    assert [len(answer.items) for answer in together] == [0, 10]
    assert ["state_unreadable" in answer.reasons for answer in together] == [True, False]

    def of_users(user: Any) -> Any:
        if user == 10:
            raise BundleError("it did not answer")
        if user == 11:
            assert "state_unreadable" in live.recommend(10).reasons
        return events(user)

    monkeypatch.setattr(users, "events", of_users)
    assert "state_unreadable" in live.recommend(10).reasons
    assert live.recommend(11).reasons == ()


def test_an_unknown_kind_is_refused(ruled: Open) -> None:
    live = ruled()
    with pytest.raises(DataError, match="did you mean 'impression'"):
        live.observe((7, 1), kind="impresion")
    with pytest.raises(DataError, match="a user id and an item id"):
        live.observe((None, 1), kind="impression")


SHOWN = """
import multiprocessing, os, sys
from funnel import Live
live, children, ready = Live(sys.argv[1]), [], multiprocessing.get_context("fork").Barrier(4)
for worker in range(4):
    pid = os.fork()
    if pid == 0:
        shown = 0
        live.recommend("someone", 10, where={"genres": "Horror"})
        ready.wait()
        while True:
            answer = live.recommend("someone", 10, where={"genres": "Horror"})
            items = [one.item_id for one in answer.items]
            if not items:
                break
            live.observe(("someone", items[0]), kind="impression")
            shown += 1
        os._exit(shown)
    children.append(pid)
print([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_caps_hold_over_four_processes(ruled: Open) -> None:
    """Each process shows one item at a time until nothing is left. Between an answer and its impression the
    others may answer too: at most one more a process. What any process acknowledged counts for all."""
    live = ruled({"kind": "cap", "column": "genres", "shows": 40, "per": "1d"})
    done = python("-c", SHOWN, live.folder)
    assert done.returncode == 0, done.stderr
    shown = json.loads(done.stdout.splitlines()[-1])
    assert 40 <= sum(shown) <= 43
    assert min(shown) > 0
    assert live.health()["state"]["impressions"] == sum(shown)
    assert live.recommend("someone", where={"genres": "Horror"}).items == ()
    assert len(live.recommend("other", where={"genres": "Horror"}).items) == 10
