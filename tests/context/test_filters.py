"""Filters that compare items with what is known at the moment of the request."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from funnel.cli import app
from funnel.errors import ConfigError
from tests.context.shop import COUNTRIES, Shop

SHIPPED = {"countries": {"contains": {"context": "country"}}}
CHEAP = {"price": {"le": {"context": "limit"}}}


def attributes(answer: Any, name: str) -> list[Any]:
    return [item.attributes[name] for item in answer.items]


@pytest.mark.parametrize("country", COUNTRIES)
def test_only_what_is_shipped_there(asked: Shop, country: str) -> None:
    there = [country in countries for countries in asked.data.items["countries"]]
    for where in (SHIPPED, {"countries": {"context": "country"}}):
        answer = asked.live.recommend("u1", 80, where=where, context={"country": country}, seen="allow")
        assert all(country in countries for countries in attributes(answer, "countries"))
        assert len(answer.items) == sum(there)
        literal = {"countries": {"contains": country}}
        same = asked.live.recommend("u1", 80, where=literal, context={"country": country}, seen="allow")
        assert answer.items == same.items


def test_bounds_truth_values_and_lists(asked: Shop) -> None:
    price = asked.data.items["price"].to_numpy()
    context = {"limit": 30.0, "member": True, "tags": ["DE", "nowhere"]}
    answer = asked.live.recommend(None, 80, where=CHEAP, context=context)
    assert len(answer.items) == (price <= 30).sum()
    assert max(attributes(answer, "price")) <= 30
    between = {"price": {"gt": 10, "le": {"context": "limit"}}}
    answer = asked.live.recommend(None, 80, where=between, context=context)
    assert len(answer.items) == ((price > 10) & (price <= 30)).sum()
    answer = asked.live.recommend(None, 80, where={"member_only": {"context": "member"}}, context=context)
    assert attributes(answer, "member_only") == [True] * int(asked.data.items["member_only"].sum())
    answer = asked.live.recommend(None, 80, where={"countries": {"context": "tags"}}, context=context)
    assert all("DE" in countries for countries in attributes(answer, "countries"))
    assert len(answer.items) == sum("DE" in countries for countries in asked.data.items["countries"])


def mask(where: Any, row: Any, context: dict[str, Any]) -> bool | None:
    """Whether an item passes, slowly, in three truth values: None is not known."""
    found: list[bool | None] = []
    for key, wanted in where.items():
        if key == "not":
            inner = mask(wanted, row, context)
            found.append(None if inner is None else not inner)
        elif key in ("and", "or"):
            parts = [mask(part, row, context) for part in wanted]
            decides = key == "or"
            found.append(decides if decides in parts else None if None in parts else not decides)
        else:
            found.append(condition(row[key], wanted, context))
    return False if False in found else None if None in found else True


def condition(own: Any, wanted: Any, context: dict[str, Any]) -> bool | None:
    """One condition of `random_filter`."""
    if isinstance(wanted, str):
        return wanted in own
    ((what, name),) = wanted.items()
    value = context.get(name["context"])
    if value is None:
        return None
    return value in own if what == "contains" else bool(own <= value)


def random_filter(rng: np.random.Generator, depth: int) -> dict[str, Any]:
    kind = rng.integers(6 if depth else 3)
    if kind == 0:
        return {"countries": {"contains": {"context": "country"}}}
    if kind == 1:
        return {"price": {"le": {"context": "limit"}}}
    if kind == 2:
        return {"countries": str(rng.choice(COUNTRIES))}
    if kind == 3:
        return {"not": random_filter(rng, depth - 1)}
    parts = [random_filter(rng, depth - 1) for _ in range(rng.integers(1, 4))]
    return {"and" if kind == 4 else "or": parts}


def test_an_item_passes_only_where_the_filter_holds_for_certain(asked: Shop) -> None:
    rng, rows = np.random.default_rng(0), [row for _, row in asked.data.items.iterrows()]
    both = {"country": "PL", "limit": 60.0}
    contexts: list[dict[str, Any]] = [{}, {"country": "DE"}, {"limit": 40.0}, both]
    for _ in range(60):
        where = random_filter(rng, 3)
        for context in contexts:
            answer = asked.live.recommend(None, 80, where=where, context=context)
            passing = [mask(where, row, context) is True for row in rows]
            assert sorted(item.item_id for item in answer.items) == np.flatnonzero(passing).tolist(), where
            named = [name for name in ("country", "limit") if f'"{name}"' in json.dumps(where)]
            told = {reason for reason in answer.reasons if reason.startswith("missing")}
            assert told == {f"missing_context:{name}" for name in named if name not in context}


def test_each_of_many_is_filtered_by_its_own(asked: Shop) -> None:
    users = [f"u{number}" for number in range(12)]
    contexts = [{"country": country} for country in (*COUNTRIES, None, "XX")] * 2
    answers = asked.live.recommend_many(users, 5, where=SHIPPED, context=contexts)
    for user, context, answer in zip(users, contexts, answers, strict=True):
        alone = asked.live.recommend(user, 5, where=SHIPPED, context=context)
        assert answer.items == alone.items
        assert answer.reasons == alone.reasons
    assert not answers[4].items
    assert {"missing_context:country", "all_filtered"} <= set(answers[4].reasons)
    assert answers[5].reasons == ("all_filtered",)  # it is known, and nothing goes there


def test_the_same_value_is_looked_up_once(asked: Shop) -> None:
    cache = asked.live.contents.catalogue.live_filters.cache  # type: ignore[attr-defined]
    asked.live.recommend("u1", where=SHIPPED, context={"country": "DE"})
    kept = len(cache)
    for user in range(20):
        asked.live.recommend(f"u{user}", where=SHIPPED, context={"country": "DE", "limit": user})
        asked.live.recommend(f"u{user}", where={"countries": "DE"})
    assert len(cache) == kept


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ({"countries": {"context": "contry"}}, r"no context column 'contry'; did you mean 'country'\?"),
        ({"countries": {"context": "hour"}}, "no context column 'hour'"),
        ({"countries": {"context": 3}}, "names no context column; a text is expected"),
        ({"price": {"context": "country"}}, "filter on 'price'"),
        ({"price": {"le": {"context": "country"}}}, "bound 'le' is 'DE'; it must be a number"),
        ({"nowhere": {"context": "country"}}, "filter on 'nowhere': no such item column"),
        ({"countries": {"contains": {"context": "country"}, "le": 3}}, "filter on 'countries'"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_told(asked: Shop, where: dict[str, Any], told: str) -> None:
    for call in (
        lambda: asked.live.recommend("u1", where=where, context={"country": "DE"}),
        lambda: asked.live.recommend_many(["u1"], where=where, context={"country": "DE"}),
        lambda: asked.live.similar(3, where=where, context={"country": "DE"}),
    ):
        with pytest.raises(ConfigError, match=told):
            call()


def test_a_filter_beyond_the_limits_is_refused_before_it_is_walked(asked: Shop) -> None:
    deep: dict[str, Any] = SHIPPED
    for _ in range(3000):
        deep = {"not": deep}
    with pytest.raises(ConfigError, match="nested more than 32 deep"):
        asked.live.recommend("u1", where=deep, context={"country": "DE"})
    with pytest.raises(ConfigError, match="nested more than 32 deep"):
        asked.live.recommend("u1", where={"and": [SHIPPED, deep]}, context={"country": "DE"})
    wide = {"or": [SHIPPED] * 5000}
    with pytest.raises(ConfigError, match="more than 1,000 conditions"):
        asked.live.recommend("u1", where=wide, context={"country": "DE"})


def test_the_command_line_compares_too(asked: Shop) -> None:
    told = CliRunner().invoke(
        app,
        [
            "recommend", "u1", "--where", json.dumps(SHIPPED), "--context", '{"country": "IT"}',
            "--store", str(asked.folder / "indexes"), "--json",
        ],
    )  # fmt: skip
    items = json.loads(told.stdout)["items"]
    assert items
    assert all("IT" in item["attributes"]["countries"] for item in items)
