"""`seen=`: whether a request returns what the user interacted with."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.errors import FunnelError
from funnel.serving.batch import recommend_all
from funnel.serving.request import Request, encode_request, of_users
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild


@pytest.fixture(scope="module")
def live(built: TinyBuild) -> Iterator[Live]:
    one = Live(built.indexes)
    yield one
    one.close()


def ids(answer: Any) -> list[Any]:
    return [item.item_id for item in answer.items]


def test_what_was_seen_comes_back_where_it_is_allowed(live: Live) -> None:
    seen = set(live.history(7))
    assert ids(live.recommend(7, 20, seen="exclude")) == ids(live.recommend(7, 20))
    assert len(live.recommend(7, 200, seen="allow").items) == 200
    assert seen <= set(ids(live.recommend(7, 200, seen="allow")))
    assert not set(ids(live.recommend(7, 200, seen="allow", exclude=seen))) & seen
    given = live.history(3)
    assert set(given) <= set(ids(live.recommend(7, 200, history=given, seen="allow")))


def test_a_batch_has_the_answers_of_single_requests(live: Live) -> None:
    many = live.recommend_many([7, 3, "nobody"], 15, seen="allow")
    assert [ids(one) for one in many] == [ids(live.recommend(u, 15, seen="allow")) for u in (7, 3, "nobody")]


def test_the_features_are_those_of_a_request_offline(live: Live) -> None:
    """A seen item has what an offline request that excludes nothing gives it."""
    contents = live.contents
    row = contents.users.ids.row(7)
    online, _ = encode_request(contents, Request(7, seen="allow"))
    offline = replace(of_users(contents, np.array([row]), seen="exclude"), exclude=None)
    retrieve, features = contents.retriever(), contents.candidate_features()
    found = retrieve(offline)
    assert np.isin(contents.users.history[row], found.items).any()
    np.testing.assert_array_equal(features.matrix(online, retrieve(online)), features.matrix(offline, found))


def test_a_bundle_that_returns_what_was_seen_leaves_it_out_on_request(
    built: TinyBuild, tmp_path: Path
) -> None:
    store = Store(shutil.copytree(built.indexes, tmp_path / "shop"))

    def change(folder: Path) -> None:
        path = folder / "serve.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"exclude_seen": False}))

    store.publish(variant(store, change))
    live = Live(store.folder)
    seen = set(live.history(7))
    assert set(ids(live.recommend(7, 200))) >= seen
    assert not set(ids(live.recommend(7, 200, seen="exclude"))) & seen
    live.close()


@pytest.mark.parametrize("seen", ["", "yes", True, False, 0, ["allow"], np.array("allow"), pd.NA, b"allow"])
def test_another_word_is_refused(live: Live, seen: Any) -> None:
    for call in (
        lambda: live.recommend(7, seen=seen),
        lambda: live.recommend_many([7], seen=seen),
        lambda: live.explain(7, 5, seen=seen),
        lambda: recommend_all(live, Path("never.parquet"), seen=seen),
    ):
        with pytest.raises(FunnelError, match=r'seen is .* must be "exclude" or "allow"'):
            call()


def test_every_users_list(live: Live, tmp_path: Path) -> None:
    path = tmp_path / "all.parquet"
    for _ in recommend_all(live, path, 200, seen="allow"):
        pass
    lists = pd.read_parquet(path).groupby("user_id")["item_id"].agg(list)
    assert lists[7] == ids(live.recommend(7, 200, seen="allow"))
