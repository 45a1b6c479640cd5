"""Feedback meets what was shown: each event that cannot be meant is defined, counted, and clicks nothing."""

from __future__ import annotations

import random
from dataclasses import asdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel import Event
from funnel.impressions import Impression, JoinFigures, join
from funnel.impressions.join import SKEW
from tests.impressions.records import NOW, impression

LIST = impression(1, user="u1")  # shows 10, 30, 20 at NOW + 1
AT = int(LIST.time)


def event(item: Any = "10", at: int = AT + 5, kind: str | None = None, **other: Any) -> Event:
    return Event(
        **{"user_id": "u1", "item_id": str(item), "time": at, "kind": kind, "answer": LIST.id, **other}
    )


def counted(figures: JoinFigures) -> dict[str, int]:
    usual = {"answers", "shown", "events", "named"}
    return {name: n for name, n in asdict(figures).items() if n and name not in usual}


def test_a_click_comes_of_the_item_that_it_names() -> None:
    joined = join([LIST], [event(30, kind="click", value=2.5)])
    assert joined.frame["item_id"].tolist() == [10, 30, 20]
    assert joined.frame["clicked"].tolist() == [False, True, False]
    assert joined.frame["outcome.click"].tolist() == [False, True, False]
    assert joined.frame["value.click"].tolist()[1] == 2.5
    assert counted(joined.figures) == {"joined": 1}
    assert joined.figures.join_rate == 1


@pytest.mark.parametrize(
    ("wrong", "figure"),
    [
        (event(answer="f" * 24), "orphans"),
        (event(user_id="u2"), "other_user"),
        (event(40), "not_shown"),  # a candidate that was not shown
        (event(99), "not_shown"),
        (event(at=AT - SKEW - 1), "early"),
        (event(at=1), "early"),
        (event(at=AT + 86_401), "late"),
    ],
)
def test_what_does_not_come_of_a_list_is_counted_and_clicks_nothing(wrong: Event, figure: str) -> None:
    joined = join([LIST], [wrong])
    assert not joined.frame["clicked"].any()
    assert counted(joined.figures) == {figure: 1}
    both = join([LIST], [wrong, event()])
    assert both.frame["clicked"].tolist() == [True, False, False]
    assert both.figures.join_rate == 0.5


@pytest.mark.parametrize("at", [AT - SKEW, AT, AT + 86_400])
def test_the_window_has_both_its_ends(at: int) -> None:
    assert counted(join([LIST], [event(at=at)]).figures) == {"joined": 1}


@pytest.mark.parametrize("at", [0, None])
def test_where_there_is_no_clock_only_the_answer_counts(at: int | None) -> None:
    assert counted(join([LIST], [event(at=at)]).figures) == {"joined": 1}  # type: ignore[arg-type]


def test_the_window_is_what_was_asked_for() -> None:
    assert counted(join([LIST], [event(at=AT + 61)], window=60).figures) == {"late": 1}


def test_the_same_again_counts_once() -> None:
    again = [event(), event(at=AT + 9), event(kind="purchase"), event(20), event(kind="purchase")]
    joined = join([LIST], again)
    assert counted(joined.figures) == {"joined": 3, "duplicates": 2}
    assert joined.frame["clicked"].tolist() == [True, False, True]
    assert joined.frame["outcome.purchase"].tolist() == [True, False, False]
    assert joined.figures.join_rate == 1


def test_kinds_that_say_no_click_nothing() -> None:
    joined = join([LIST], [event(kind="hide"), event(20, kind="click")], clicks={"click"})
    assert joined.frame["clicked"].tolist() == [False, False, True]
    assert joined.frame["outcome.hide"].tolist() == [True, False, False]


def test_an_answer_to_nobody_takes_whoever_names_it() -> None:
    assert counted(join([impression(1, user=None)], [event(user_id="u9")]).figures) == {"joined": 1}


def test_ids_are_the_same_as_a_number_and_in_writing() -> None:
    assert counted(join([impression(1, user=7)], [event(user_id="7")]).figures) == {"joined": 1}


def test_events_that_name_no_answer_are_no_part_of_the_rate() -> None:
    joined = join([LIST], [event(), event(answer=None)])
    assert (joined.figures.events, joined.figures.named, joined.figures.join_rate) == (2, 1, 1.0)


def test_nothing_joins_nothing() -> None:
    joined = join([], [])
    assert joined.frame.empty
    assert "clicked" in joined.frame.columns
    assert joined.figures.join_rate != joined.figures.join_rate


EVENTS = st.builds(
    event,
    st.sampled_from([10, 20, 30, 40]),
    st.sampled_from([AT - 100, AT, AT + 50, AT + 90_000]),
    st.sampled_from([None, "click", "purchase"]),
    user_id=st.sampled_from(["u1", "u2"]),
    answer=st.sampled_from([None, LIST.id, "f" * 24, impression(2).id]),
)


@given(st.lists(EVENTS, max_size=12), st.randoms())
def test_each_event_is_counted_once_and_what_is_sent_again_changes_no_outcome(
    events: list[Event], chance: random.Random
) -> None:
    lists: list[Impression] = [LIST, impression(2, user="u2")]
    joined = join(lists, events)
    figures = joined.figures
    assert figures.events == len(events)
    assert figures.named == sum(e.answer is not None for e in events) == sum(counted(figures).values())
    again = join(lists, events + [chance.choice(events) for _ in range(5)] if events else events)
    columns = ["request_id", "item_id", "clicked"]
    assert again.frame[columns].equals(joined.frame[columns])
    expected = {
        (one.id, item)
        for one in lists
        for item in one.shown_items
        for e in events
        if e.answer == one.id and e.user_id == str(one.user) and e.item_id == str(item)
        and int(one.time) - SKEW <= (e.time or 0) <= int(one.time) + 86_400
    }  # fmt: skip
    clicked = joined.frame[joined.frame["clicked"]]
    assert set(zip(clicked["request_id"], clicked["item_id"], strict=True)) == expected
    assert LIST.time > NOW
