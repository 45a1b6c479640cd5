"""How many calls a request makes: its cost whatever there is in the catalogue. Never a time."""

from __future__ import annotations

import gc
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from funnel import Live
from tests.shown_shop import plain_shop
from tests.tiny import TinyBuild

#: Calls of Python's and of C's functions that an answer of ten items makes at most.
MOST = 581

#: And of a bundle that logs what it shows, with heads of their own and an order by value.
MOST_BY_VALUE = 1_134

#: And for each of twenty users together.
MOST_TOGETHER = 300

#: And what each further item of an answer adds.
MOST_AN_ITEM = 4


def calls(do: Callable[[], Any]) -> int:
    """Calls that a warm function makes in this thread."""
    counted = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal counted
        counted += event in ("call", "c_call")

    do()
    gc.disable()  # whose callbacks are others' calls
    sys.setprofile(count)
    try:
        do()
    finally:
        sys.setprofile(None)
        gc.enable()
    return counted


@pytest.fixture(scope="module")
def live(built: TinyBuild, tmp_path_factory: pytest.TempPathFactory) -> Live:
    folder: Path = shutil.copytree(built.indexes, tmp_path_factory.mktemp("calls") / "indexes")
    return Live(folder)


def test_an_answer_makes_no_more_calls_than_stated(live: Live) -> None:
    users = live.contents.users.ids.values[:5].tolist()
    made = [calls(lambda user=user: live.recommend(user, k=10)) for user in users]  # type: ignore[misc]
    assert max(made) <= MOST, made


def test_an_answer_by_value_makes_no_more_calls_than_stated(
    tmp_path_factory: pytest.TempPathFactory, tmp_path: Path
) -> None:
    live = Live(shutil.copytree(plain_shop(tmp_path_factory).indexes, tmp_path / "indexes"))
    made = [calls(lambda user=user: live.recommend(user, k=10)) for user in ("u1", "u2", "u3")]  # type: ignore[misc]
    assert max(made) <= MOST_BY_VALUE, made


def test_a_further_item_adds_a_few_calls(live: Live) -> None:
    user = live.contents.users.ids.values[0].item()
    few, many = (calls(lambda k=k: live.recommend(user, k=k)) for k in (10, 20))  # type: ignore[misc]
    assert many - few <= 10 * MOST_AN_ITEM


def test_users_together_make_a_fraction_of_the_calls(live: Live) -> None:
    users = live.contents.users.ids.values[:20].tolist()
    assert calls(lambda: live.recommend_many(users)) <= 20 * MOST_TOGETHER
