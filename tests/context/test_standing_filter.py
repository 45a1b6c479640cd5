"""A filter that holds for every request, in training and evaluation as when it serves."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from funnel import config as configs
from funnel.artifacts import Store
from funnel.bundle.contents import load_contents
from funnel.bundle.holdout import HOLDOUT, Holdout, translate
from funnel.bundle.standing_filter import requests_under
from funnel.engine import Funnel
from funnel.errors import ConfigError
from funnel.pipeline import prepare
from funnel.pipeline.checks import check_config
from funnel.serving.request import encode_request
from tests.context.shop import Shop, built_shop
from tests.context.test_filters import mask
from tests.context.test_parity import request_of

SHIPS = {"countries": {"contains": {"context": "country"}}}
WHERE = {"or": [SHIPS, {"price": {"le": {"context": "limit"}}}]}


@pytest.fixture(scope="module")
def held(asked: Shop, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """The shop, which gives only what is shipped there or is below the request's limit."""
    retrieve = {"k": 60, "sources": ["towers", "popular"], "where": WHERE}
    kept = Store(asked.folder / "embeddings")
    towers = kept.path(kept.versions()[0].version)
    return built_shop(tmp_path_factory.mktemp("held"), asked.data, towers=towers, retrieve=retrieve)


def passes(held: Shop, context: dict[str, Any]) -> np.ndarray:
    """Which items do, one by one in plain Python: bool [n_items]."""
    rows = (row for _, row in held.data.items.sort_values("item_id").iterrows())
    return np.array([mask(WHERE, row, context) is True for row in rows])


def test_every_list_of_the_data_keeps_to_it(held: Shop) -> None:
    contents, test = held.live.contents, held.prepared.split.test.requests
    rows = held.prepared.split.test_rows
    assert rows is not None
    under = requests_under(contents, test)
    lists = Funnel(contents.before_ranking())(under).items
    for place in range(0, len(test), 31):
        there = passes(held, held.said(int(rows[place])))
        found = lists[place][lists[place] >= 0]
        assert there[found].all()
        assert len(found) == min(60, there.sum())


def test_a_replayed_request_may_be_given_the_same_live(held: Shop) -> None:
    contents, test = held.live.contents, held.prepared.split.test.requests
    for place in range(0, len(test), 41):
        offline = requests_under(contents, test.take(np.array([place])))
        live, _ = encode_request(contents, request_of(held, place))
        assert live.allow is not None
        assert offline.allow is not None
        np.testing.assert_array_equal(live.allow.masks(), offline.allow.masks())


def test_it_holds_beside_the_filter_of_a_request(held: Shop) -> None:
    context = {"country": "DE", "limit": 20.0}
    there = passes(held, context)
    answer = held.live.recommend("u1", 80, context=context)
    assert {item.item_id for item in answer.items} == set(np.flatnonzero(there))
    cheap = held.live.recommend("u1", 80, context=context, where={"price": {"le": 30}})
    price = held.data.items["price"].to_numpy()
    assert {item.item_id for item in cheap.items} == set(np.flatnonzero(there & (price <= 30)))
    many = held.live.recommend_many(["u1", "u2"], 80, context=[context, {"country": "FR", "limit": 1}])
    assert {item.item_id for item in many[0].items} == set(np.flatnonzero(there))
    fr = passes(held, {"country": "FR", "limit": 1})
    assert {item.item_id for item in many[1].items} == set(np.flatnonzero(fr))
    near = held.live.similar(0, 80, context=context)
    assert {item.item_id for item in near.items} <= set(np.flatnonzero(there))
    given = held.live.rank("u1", list(range(80)), context=context)
    assert len(given.items) == 80  # the caller chose what is in it


def test_what_the_request_does_not_say_lets_nothing_pass_and_is_told(held: Shop) -> None:
    answer = held.live.recommend("u1", 5)
    assert not answer.items
    assert {"missing_context:country", "missing_context:limit", "all_filtered"} <= set(answer.reasons)


def test_a_holdout_keeps_to_it_in_its_own_bundle_and_in_another(held: Shop, asked: Shop) -> None:
    def holdout_of(shop: Shop) -> tuple[Any, Holdout]:
        folder = Store(shop.folder / "indexes").path("current")
        contents = load_contents(folder)
        return contents, Holdout.load(folder / HOLDOUT, contents)

    contents, own = holdout_of(held)
    assert own.examples.requests.allow is not None
    assert own.examples.requests.allow.holds(
        np.arange(len(own.answers))[:, None], np.maximum(own.answers, 0)
    )[own.answers >= 0].all()
    plain, other = holdout_of(asked)
    assert other.examples.requests.allow is None
    assert translate(other.examples, plain, contents).requests.allow is not None
    assert translate(own.examples, contents, plain).requests.allow is None


def test_a_bundle_without_one_is_as_before(asked: Shop) -> None:
    assert asked.live.contents.retrieve.where is None
    settings = (Store(asked.folder / "indexes").path("current") / "serve.json").read_text()
    assert '"where"' not in settings


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"colour": "red"}, "colour"),
        ({"countries": {"contains": {"context": "land"}}}, "no context column 'land'"),
        ({"price": {"gt": 1000}}, "no item of these data passes"),
        ({"price": {"above": 1}}, "above"),
        ({"cat": {"context": "country"}}, "cat"),
    ],
)
def test_a_filter_that_cannot_hold_is_refused_before_training(
    asked: Shop, where: dict[str, Any], message: str
) -> None:
    config = configs.configure("shop", split={"protocol": "event"}, retrieve={"where": where})
    with pytest.raises(ConfigError, match=rf"retrieve\.where: .*{message}"):
        check_config(prepare(config, asked.data))


def test_users_together_have_it_compiled_once(held: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = type(held.live.contents.catalogue)
    compile_one, compiled = kind.compile, list[Any]()

    def compile_counted(self: Any, where: Any) -> Any:
        compiled.append(where)
        return compile_one(self, where)

    monkeypatch.setattr(kind, "compile", compile_counted)
    held.live.recommend_many(["u1", "u2", "u3"], 5, context={"country": "DE", "limit": 20.0})
    assert len(compiled) == 1
