"""One clock is wrong somewhere, always: nobody else may notice, and its user only once."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from funnel import Live
from funnel.errors import DataError
from tests.serving.test_items import ids
from tests.tiny import TinyBuild

ITEM, STRANGER = 5, "a stranger"
DAY = 86_400


@pytest.fixture
def store(built: TinyBuild, tmp_path: Path) -> Path:
    return Path(shutil.copytree(built.indexes, tmp_path / "indexes"))


def lists(live: Live) -> dict[int, list[int]]:
    return {user: ids(live.recommend(user, 10)) for user in range(1, 101)}


def changed(before: dict[int, list[int]], after: dict[int, list[int]]) -> int:
    return sum(before[user] != after[user] for user in before)


@pytest.fixture
def fair(built: TinyBuild, tmp_path: Path) -> int:
    """How many other users' lists an ordinary click a minute after the last one changes."""
    live = Live(shutil.copytree(built.indexes, tmp_path / "fair"))
    before = lists(live)
    live.observe((STRANGER, ITEM, live.contents.statistics.end + 60))
    count = changed(before, lists(live))
    live.close()
    return count


@pytest.mark.parametrize("days", [1, 30])
def test_a_strangers_click_changes_nobody_elses_list(store: Path, fair: int, days: int) -> None:
    live = Live(store)
    before = lists(live)
    live.observe((STRANGER, ITEM, live.contents.statistics.end + days * DAY))
    assert changed(before, lists(live)) <= fair + 4
    live.close()


@pytest.mark.parametrize("days", [2, 400, 4000])
def test_a_click_ahead_of_the_clock_is_refused_and_changes_nothing(store: Path, days: int) -> None:
    live = Live(store)
    before = lists(live)
    with pytest.raises(DataError, match="ahead of the clock"):
        live.observe((STRANGER, ITEM, int(time.time()) + days * DAY))
    assert changed(before, lists(live)) == 0
    assert live.history(STRANGER) == []
    live.close()


def test_a_click_now_on_old_data_changes_nobody_elses_list_now_and_later(store: Path, fair: int) -> None:
    live = Live(store)
    before = lists(live)
    live.observe((STRANGER, ITEM))
    assert changed(before, lists(live)) <= fair + 4
    live.close()
    again = Live(store)
    assert changed(before, lists(again)) <= fair + 4
    again.close()


@pytest.mark.parametrize("unit", [10**3, 10**6, 10**9])
def test_the_next_click_keeps_its_own_time(store: Path, unit: int) -> None:
    """A user's right event after a wrong one is not dated by the wrong one, here and in the process after."""
    live = Live(store)
    end = live.contents.statistics.end
    with pytest.raises(DataError, match="seconds"):
        live.observe((8, ITEM, (end + 120) * unit))
    live.observe((8, ITEM + 1, end + 200))
    live.close()
    for one in (live, Live(store)):
        assert [(event.item_id, event.time) for event in one.recent_interactions(8)] == [
            (str(ITEM + 1), end + 200)
        ]
        one.close()
