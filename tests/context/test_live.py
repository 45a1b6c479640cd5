"""Requests that say what is known at their moment."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import CONTEXT, load_contents
from funnel.bundle.holdout import Holdout, translate
from funnel.catalogue.schemas import columns_gone
from funnel.cli import app
from funnel.data import Column, Schema
from funnel.errors import BundleError, ConfigError, DataError, FunnelError
from funnel.features import ContextConfig, ContextEncoder
from funnel.features.moments import clock_columns
from funnel.gates import judge
from funnel.pipeline import prepare
from funnel.serving.batch import recommend_all
from funnel.serving.request import Request, encode_request
from tests.context.shop import PLACES, SCHEMA, Shop, built_shop, shop

USER = "u7"


def ids(answer: Any) -> list[Any]:
    return [item.item_id for item in answer.items]


def kinds(answer: Any) -> list[str]:
    return [item.attributes["category"] for item in answer.items]


def test_the_place_decides_what_comes_first(asked: Shop) -> None:
    for number, place in enumerate(PLACES):
        of_kind = kinds(asked.live.recommend(USER, 10, context={"place": place}, seen="allow"))
        assert of_kind.count(f"kind {number}") >= 7
    first = {tuple(ids(asked.live.recommend(USER, context={"place": place}))) for place in PLACES}
    assert len(first) == 3
    assert len(asked.live.recommend(USER).items) == 10  # and none is normal


def test_ranked_lists_and_explanations_go_by_it_too(asked: Shop) -> None:
    every = list(range(80))
    for number, place in enumerate(PLACES):
        answer = asked.live.rank(USER, every, context={"place": place})
        assert kinds(answer)[:10].count(f"kind {number}") >= 7
        because = asked.live.explain(USER, ids(answer)[0], context={"place": place})
        assert sum(because.values()) == pytest.approx(answer.items[0].score, abs=1e-5)


@pytest.mark.parametrize("context", [None, {"place": "home"}, {"place": "search", "limit": 50}])
def test_probabilities_add_up_to_the_next_event_whatever_was_said(asked: Shop, context: Any) -> None:
    """All events of the shop are at a place; some say nothing of the rest."""
    answers = [asked.live.rank(f"u{user}", list(range(80)), context=context) for user in range(40)]
    sums = [sum(item.probabilities["event"] for item in answer.items) for answer in answers]
    assert 0.8 < np.mean(sums) < 1.9
    assert len({tuple(ids(answer)[:5]) for answer in answers}) > 10  # not the same for all


def test_many_are_asked_for_with_one_context_or_with_one_each(asked: Shop) -> None:
    users = ["u1", "u2", None, "u3"]
    contexts = [{"place": "home"}, None, {"place": "basket", "limit": 3}, {"place": "never seen"}]
    for one, context, answer in zip(
        users, contexts, asked.live.recommend_many(users, context=contexts), strict=True
    ):
        assert ids(answer) == ids(asked.live.recommend(one, context=context))
    for one, answer in zip(users, asked.live.recommend_many(users, context={"place": "home"}), strict=True):
        assert ids(answer) == ids(asked.live.recommend(one, context={"place": "home"}))
    with pytest.raises(FunnelError, match="context has 2 entries for 4 users"):
        asked.live.recommend_many(users, context=[{}, {}])
    assert asked.live.recommend_many([], context={"place": "home"}) == []


NOTHING: list[dict[str, Any] | None] = [
    None, {}, {"place": None}, {"limit": float("nan"), "query": None}, {"member": pd.NA, "tags": []},
    {"limit": float("inf")}, {"tags": [None]},
]  # fmt: skip


@pytest.mark.parametrize("nothing", NOTHING)
def test_what_is_missing_is_the_same_as_what_is_not_said(asked: Shop, nothing: dict[str, Any] | None) -> None:
    assert ids(asked.live.recommend(USER, context=nothing)) == ids(asked.live.recommend(USER))


def test_a_value_that_was_never_seen_is_unknown(asked: Shop) -> None:
    answer = asked.live.recommend(USER, context={"place": "moon", "country": 7, "tags": ["odd"]})
    assert ids(answer) == ids(asked.live.recommend(USER, context={"place": "mars"}))
    contents = asked.live.contents
    requests, _ = encode_request(contents, Request(USER, context={"place": "moon", "tags": ["odd"]}))
    assert requests.context["place"].tolist() == [0]
    assert not requests.context["tags"].any()


@pytest.mark.parametrize(
    ("context", "error", "told"),
    [
        ("home", FunnelError, r"context is 'home'; columns by name are expected, like \{"),
        (["place"], FunnelError, "columns by name are expected"),
        ({"plcae": "home"}, ConfigError, r"no context column 'plcae'; did you mean 'place'\?"),
        ({"note": "x"}, ConfigError, "no context column 'note'; there are: place, country, limit, tags"),
        ({3: "x"}, ConfigError, "no context column 3"),
        ({"hour": 3}, ConfigError, "'hour' is that of the request's time: give `time` instead"),
        ({"place": ["home"]}, DataError, "context column 'place' is .*; one text or number is expected"),
        ({"limit": "much"}, DataError, "context column 'limit' is 'much'; a number is expected"),
        ({"limit": True}, DataError, "context column 'limit' is True; a number is expected"),
        ({"query": [1, 2]}, DataError, "context column 'query' is .*; a list of 3 numbers is expected"),
        ({"tags": {"a": 1}}, DataError, "context column 'tags'"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_told(asked: Shop, context: Any, error: type[FunnelError], told: str) -> None:
    for call in (
        lambda: asked.live.recommend(USER, context=context),
        lambda: asked.live.rank(USER, [1, 2], context=context),
        lambda: asked.live.similar(1, context=context),
        lambda: asked.live.explain(USER, 1, context=context),
        lambda: next(recommend_all(asked.live, asked.folder / "never.parquet", context=context)),
    ):
        with pytest.raises(error, match=told):
            call()
    assert not (asked.folder / "never.parquet.parts").exists()


def test_everyones_lists_are_of_one_moment(asked: Shop, tmp_path: Path) -> None:
    output = tmp_path / "lists.parquet"
    list(recommend_all(asked.live, output, 5, context={"place": "search"}))
    lists = pd.read_parquet(output).groupby("user_id")["item_id"].agg(list)
    for user in ("u0", "u7", "u99"):
        assert lists[user] == ids(asked.live.recommend(user, 5, context={"place": "search"}))


def test_the_hour_and_the_day_are_those_of_the_request_where_the_shop_is(asked: Shop) -> None:
    for time in (
        1_735_700_000,
        1_743_296_399,
        1_743_296_400,
        1_761_438_000,
        1_761_440_400,
    ):  # summer begins, ends
        requests, _ = encode_request(asked.live.contents, Request(USER, time=time))
        then = datetime.fromtimestamp(time, ZoneInfo("Europe/Berlin"))
        assert requests.context["hour"].tolist() == [then.hour + 1]
        assert requests.context["weekday"].tolist() == [then.isoweekday()]


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/St_Johns", "Australia/Lord_Howe"])
def test_clock_columns_are_those_of_the_calendar(zone: str) -> None:
    rng = np.random.default_rng(0)
    times = np.concatenate([rng.integers(-(10**9), 4 * 10**9, size=400), [0, -1, -(10**12), 10**12]])
    got = clock_columns(times, zone)
    for place, time in enumerate(times[:-2].tolist()):
        then = datetime.fromtimestamp(time, UTC).astimezone(ZoneInfo(zone))
        assert (got["hour"][place], got["weekday"][place]) == (then.hour + 1, then.isoweekday())
    assert ((got["hour"] >= 1) & (got["hour"] <= 24)).all()


@pytest.mark.parametrize(
    ("section", "told"),
    [
        ({"timezone": "Mars/Olympus"}, "no such time zone"),
        ({"timezone": "/etc/passwd"}, "no such time zone"),
        ({"colums": []}, "did you mean 'columns'"),
    ],
)
def test_a_section_that_cannot_be_meant_is_told(section: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        configs.configure("x", context=section)


def test_columns_that_are_not_there_are_told_before_anything_is_trained(asked: Shop) -> None:
    with pytest.raises(ConfigError, match=r"context\.columns: no column 'plase' .*; did you mean 'place'\?"):
        prepare(configs.configure("x", context={"columns": ["plase"]}), asked.data)
    with pytest.raises(ConfigError, match="no column 'note' has context = true"):
        prepare(configs.configure("x", context={"columns": ["note"]}), asked.data)
    named = Schema(events=(Column(name="hour", kind="number", context=True),))
    with pytest.raises(ConfigError, match=r"context\.clock gives a column 'hour', which is declared too"):
        ContextConfig(clock=True).chosen(named.context, "time")
    with pytest.raises(ConfigError, match="these data have no times"):
        ContextConfig(clock=True).chosen((), "order")


def test_only_events_and_impressions_know_moments() -> None:
    moment = Column(name="device", kind="category", context=True)
    for table in ("users", "items"):
        with pytest.raises(ValueError, match=f"{table}: column 'device' has context = true"):
            Schema(**{table: (moment,)})
    with pytest.raises(ValueError, match="declare it alike in both"):
        Schema(events=(moment,), impressions=(Column(name="device", kind="number", context=True),))
    assert Schema(events=(moment,), impressions=(moment,)).context == (moment,)


def test_a_schema_without_it_is_written_as_before() -> None:
    column = Column(name="device", kind="category")
    assert "context" not in column.model_dump_json()
    assert Column.model_validate_json(column.model_dump_json()) == column
    there = Column(name="device", kind="category", context=True)
    assert Column.model_validate_json(there.model_dump_json()) == there
    assert Schema(events=(there,)).fingerprint() != Schema(events=(column,)).fingerprint()
    assert columns_gone(Schema(events=(there,)), Schema(events=(column,))) == ["context.device"]


def test_without_a_context_nothing_of_it_is_in_a_bundle(tmp_path: Path) -> None:
    plain = SCHEMA.model_copy(
        update={"events": tuple(column.model_copy(update={"context": False}) for column in SCHEMA.events)}
    )
    data = shop(users=60, events=15)
    without = built_shop(tmp_path, type(data).from_frames(plain, data.events, items=data.items), context={})
    contents = without.live.contents
    assert contents.context is None
    assert not contents.encoder.context_specs
    assert not (Store(tmp_path / "indexes").path("current") / CONTEXT).exists()
    assert not any(name.startswith("context") for name in contents.candidate_features().names)
    requests, _ = encode_request(contents, Request("u1"))
    assert requests.context == requests.context_numbers == {}
    with pytest.raises(ConfigError, match="no context column 'place'; there are: none"):
        without.live.recommend("u1", context={"place": "home"})


def test_a_holdout_keeps_its_moments_and_another_bundle_reads_them(asked: Shop, tmp_path: Path) -> None:
    store = Store(asked.folder / "indexes")
    contents, folder = asked.live.contents, store.path("current")
    holdout = Holdout.load(folder / "holdout", contents)
    assert set(holdout.examples.requests.context) == set(contents.context.specs)  # type: ignore[union-attr]
    np.testing.assert_array_equal(contents.funnel()(holdout.examples.requests).items, holdout.answers)
    assert all(one.passed for one in judge(store, store.published() or "").findings if one.gate == "parity")
    data = shop(seed=1)
    events = data.events.copy()
    events["place"] = events["place"].where(events["place"] != "home", "street")
    other = built_shop(
        tmp_path, type(data).from_frames(SCHEMA, events, items=data.items), context={}
    ).live.contents
    there = translate(holdout.examples, contents, other).requests
    names = np.array(["", *contents.context.values("place")])  # type: ignore[union-attr]
    theirs = np.array(["", *other.context.values("place")])  # type: ignore[union-attr]
    expected = names[holdout.examples.requests.context["place"]]
    np.testing.assert_array_equal(theirs[there.context["place"]], np.where(expected == "home", "", expected))
    assert "hour" not in there.context
    numbers = holdout.examples.requests.context_numbers["limit"]
    np.testing.assert_array_equal(
        there.context["limit"],
        other.context.table.encode_column("limit", numbers.tolist()),  # type: ignore[union-attr]
    )
    own = contents.context.values("tags")  # type: ignore[union-attr]
    tags = holdout.examples.requests.context["tags"]
    for before, after in zip(tags, there.context["tags"], strict=True):
        found = {other.context.values("tags")[code - 1] for code in after if code}  # type: ignore[union-attr]
        assert found == {own[code - 1] for code in before if code}


def test_what_is_saved_is_what_is_loaded_and_damage_is_told(asked: Shop, tmp_path: Path) -> None:
    encoder = asked.prepared.context
    assert encoder is not None
    encoder.save(tmp_path / "context")
    again = ContextEncoder.load(tmp_path / "context")
    assert again is not None
    some, times = asked.data.events.iloc[:50], asked.data.events["time"].to_numpy()[:50]
    for name, values in encoder.encode(some, times).items():
        np.testing.assert_array_equal(again.encode(some, times)[name], values)
    assert ContextEncoder.load(tmp_path / "nowhere") is None
    (tmp_path / "context" / "context.json").write_text('{"clock": true}')
    with pytest.raises(BundleError, match=r"context\.json cannot be read"):
        ContextEncoder.load(tmp_path / "context")


def test_rates_that_are_damaged_are_told(asked: Shop, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "bundle"
    shutil.copytree(Store(asked.folder / "indexes").path("current"), folder)
    assert load_contents(folder).rates.keys() == asked.live.contents.rates.keys()
    path = folder / CONTEXT / "rates.0.codes.npy"
    codes = np.load(path)
    codes[0] = 1 << 20
    np.save(path, codes)
    with pytest.raises(BundleError, match=r"rates\.0\.codes"):
        load_contents(folder)


def test_the_command_line_takes_it_as_json(asked: Shop) -> None:
    run, store = CliRunner(), ["--store", str(asked.folder / "indexes"), "--json"]
    told = run.invoke(app, ["recommend", USER, "--context", '{"place": "search"}', *store])
    answer = json.loads(told.stdout)
    assert [item["item_id"] for item in answer["items"]] == ids(
        asked.live.recommend(USER, context={"place": "search"})
    )
    ranked = run.invoke(app, ["rank", USER, "--items", "1,2,3", "--context", '{"place": "home"}', *store])
    assert [item["item_id"] for item in json.loads(ranked.stdout)["items"]] == ids(
        asked.live.rank(USER, [1, 2, 3], context={"place": "home"})
    )
    wrong = run.invoke(app, ["recommend", USER, "--context", "place=home", *store])
    assert isinstance(wrong.exception, ConfigError)
    assert "--context 'place=home' is no JSON" in str(wrong.exception)
