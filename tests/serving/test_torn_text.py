"""Text with half a character in it, as a cut at a length leaves it: taken, or refused by its column."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from funnel import Live
from funnel.errors import DataError, FunnelError
from tests.serving.test_items import frame, ids
from tests.tiny import TinyBuild

TORN = json.loads('"sale \\ud83d"')


def torn(column: str, value: Any) -> pd.DataFrame:
    """A new item with a value that pandas itself would not take as text."""
    table = frame([1000], [1999.0]).astype(object)
    table[column] = pd.Series([value], dtype=object)
    return table


REFUSED: dict[str, tuple[Callable[[Live], Any], str]] = {
    "upsert": (lambda live: live.items.upsert(torn("title", TORN)), "title"),
    "upsert of a list": (lambda live: live.items.upsert(torn("genres", ["Drama", TORN])), "genres"),
    "upsert of an id": (lambda live: live.items.upsert(torn("item_id", TORN)), "item_id"),
    "observe a user": (lambda live: live.observe((8, 5), (TORN, 5)), "event 1 is"),
    "observe an answer": (lambda live: live.observe((8, 5, None, None, None, TORN)), "event 0: answer is"),
    "observe an answer with a zero": (
        lambda live: live.observe((8, 5, None, None, None, "a\0b")),
        "answer is",
    ),
}
TAKEN: dict[str, Callable[[Live], Any]] = {
    "observe an item": lambda live: live.observe((8, TORN)),
    "recommend": lambda live: live.recommend(TORN, 2),
    "recommend many": lambda live: live.recommend_many([7, TORN], 2),
    "history": lambda live: live.recommend(7, 2, history=[TORN]),
    "exclude": lambda live: live.recommend(7, 2, exclude=[TORN]),
    "filter": lambda live: live.recommend(7, 2, where={"genres": TORN}),
    "a list in a filter": lambda live: live.recommend(7, 2, where={"genres": ["Drama", TORN]}),
    "delete": lambda live: live.items.delete([TORN]),
    "patch": lambda live: live.items.patch([TORN], {"year": 1.0}),
    "forget an item": lambda live: live.items.forget([TORN]),
    "forget a user": lambda live: live.users.forget(TORN),
    "rank": lambda live: live.rank(7, [5, TORN]),
    "similar": lambda live: live.similar(TORN, 2),
}


@pytest.fixture
def live(built: TinyBuild, tmp_path: Path) -> Any:
    one = Live(shutil.copytree(built.indexes, tmp_path / "indexes"))
    yield one
    one.close()


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_where_it_would_be_kept(live: Live, name: str) -> None:
    call, where = REFUSED[name]
    before = live.history(8)
    with pytest.raises(DataError, match=where):
        call(live)
    assert live.history(8) == before
    assert 1000 not in ids(live.recommend("x", 500))


@pytest.mark.parametrize("name", TAKEN)
def test_it_is_answered_or_refused_elsewhere(live: Live, name: str) -> None:
    try:
        TAKEN[name](live)
    except FunnelError as error:
        str(error).encode()  # the message itself is whole
    assert live.recommend(7, 2).items


def test_an_event_after_a_refused_one_is_kept(live: Live, tmp_path: Path) -> None:
    with pytest.raises(FunnelError):
        live.observe((7, 5), (TORN, 6))
    live.observe((8, 6))
    again = Live(tmp_path / "indexes")
    assert again.history(8)[-1] == 6
    again.close()
