"""Why an item is missing where rules, caps and budgets have a say."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from funnel.artifacts import Store
from funnel.service.dropped import ordinal
from funnel.serving.request import Request
from funnel.serving.response import Recommendation
from tests.serving.test_reload import variant
from tests.tiny import TinyBuild

pytest.importorskip("starlette")

from funnel.service.explore import trace  # isort: skip
from funnel.service.missing import Why, why

Open = Callable[..., Live]


@pytest.fixture
def changed(built: TinyBuild, tmp_path: Path) -> Open:
    """A copy of the store, whose bundle has other settings."""

    def opened(**settings: Any) -> Live:
        shutil.copytree(built.indexes, tmp_path / "indexes")
        store = Store(tmp_path / "indexes")

        def declare(folder: Path) -> None:
            path = folder / "serve.json"
            path.write_text(json.dumps(json.loads(path.read_text()) | settings))

        store.publish(variant(store, declare))
        return Live(store.folder)

    return opened


def reasons(live: Live, user: int = 7) -> dict[Any, Why]:
    """Of every item that the first stage found."""
    traced = trace(live, Request(user), 10)
    return {
        item["item_id"]: why(traced, item["item_id"]) for item in traced.to_dict(1000)["stages"][0]["items"]
    }


def genres_of(live: Live, item: Any) -> list[str]:
    return list(live.rank(7, [item]).items[0].attributes["genres"])


def genres(item: Recommendation) -> set[str]:
    return set(item.attributes["genres"])


def test_what_a_rule_has_no_room_for(changed: Open) -> None:
    """Whoever stood within the first ten before, and is not in the list, was in the way of the rule."""
    live = changed(rules=[{"kind": "at_most", "column": "genres", "n": 2, "name": "two of each"}])
    own = reasons(live)
    listed = [one.attributes["genres"] for one in live.recommend(7).items]
    high = [reason for reason in own.values() if reason.positions.get("rank", 99) <= 10]
    out = [reason for reason in high if reason.code != "listed"]
    assert out
    for reason in out:
        assert reason.code == "rule"
        own_genres = genres_of(live, reason.item_id)
        full = [genre for genre in own_genres if sum(genre in some for some in listed) >= 2]
        assert any(f"rule two of each: at most 2 of genres {genre!r}" in reason.sentence for genre in full)


def test_a_cap_names_the_value_that_was_shown(changed: Open) -> None:
    live = changed(rules=[{"kind": "cap", "column": "genres", "shows": 2, "per": "1d"}])
    user, pair, both = next(
        (user, (a, b), genres(a) & genres(b))
        for user in range(1, 100)
        for a, b in combinations(live.recommend(user, 30).items, 2)
        if len(genres(a) & genres(b)) == 1 and len(genres(a)) == len(genres(b)) == 2
    )
    before = reasons(live, user)
    assert "cap" not in {reason.code for reason in before.values()}
    live.observe(*((user, item.item_id) for item in pair), kind="impression")
    shown = [genre for item in pair for genre in item.attributes["genres"]]
    often = {genre for genre in shown if shown.count(genre) >= 2}
    capped = {item: reason for item, reason in reasons(live, user).items() if reason.code == "cap"}
    assert often == both
    assert any(genre in shown for item in capped for genre in genres_of(live, item) if genre not in both)
    for item, reason in capped.items():
        assert reason.sentence.startswith("cap of genres: ")
        for genre in set(genres_of(live, item)):
            assert (repr(genre) in reason.sentence) == (genre in often)
        assert "2 times within 1d" in reason.sentence


def test_a_budget_says_what_is_spent(changed: Open) -> None:
    live = changed(rules=[{"kind": "budget", "limit": "year", "spent": "year", "name": "money"}])
    assert {reason.code for reason in reasons(live).values()} >= {"budget"}


def test_a_short_shortlist_and_diversity(changed: Open) -> None:
    settings = {
        "retrieve": {"k": 12, "sources": ["towers", "popular"]},
        "rerank": {"k": 5, "trade_off": 0.3, "pool": 12},
    }
    own = reasons(changed(**settings))
    codes = [reason.code for reason in own.values()]
    assert {"shortlist", "listed", "diversity"} <= set(codes)
    for reason in own.values():
        if reason.code == "shortlist":
            nth = ordinal(reason.positions["retrieve"])
            assert reason.sentence == f"retrieved {nth}, and the shortlist ends at 12"
        if reason.code == "diversity":
            assert "most like it" in reason.sentence
