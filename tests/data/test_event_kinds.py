"""Kinds of events: what is wrong is said with its row or the nearest name, and splits go by what a kind is
for, as a slow, plain definition has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from funnel.data import Dataset, EventsConfig, Schema, SplitConfig, split
from funnel.errors import ConfigError, DataError, FunnelError
from funnel.types import Clock, Examples

Event = tuple[int, int, int, str]
NAMES = ("cart", "click", "hide", "purchase")
USES = EventsConfig(
    history={"click": 1.0, "purchase": 3.0}, targets=("cart", "purchase"), negatives=("hide",)
)
events = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 10), st.sampled_from(NAMES)),
    min_size=20,
    max_size=60,
)
#: So that each kind is there, and users have enough to hold out.
ALWAYS = [(4, i, 2 * i, kind) for i, kind in enumerate(("cart", "click", "hide", "purchase", "cart", "cart"))]
#: A user with enough to hold out, and something to find in a published test part.
NEVER_EMPTY = [(5, item, item, "cart") for item in range(5)] + [(5, 5, 5, "purchase")]


def dataset(rows: list[Any], clock: Clock = "time", **columns: Any) -> Dataset:
    frame = pd.DataFrame(rows, columns=["user_id", "item_id", "time", "kind"])
    return Dataset.from_frames(Schema(), frame.assign(**columns), clock=clock)


def known(data: Dataset) -> list[Event]:
    log = data.log
    assert log.kinds is not None
    names = [log.kind_names[code] for code in log.kinds]
    return list(zip(log.users.tolist(), log.items.tolist(), log.times.tolist(), names, strict=True))


def plain(examples: Examples, names: tuple[str, ...]) -> list[Any]:
    r, kinds = examples.requests, examples.target_kinds
    assert r.history_kinds is not None
    assert kinds is not None
    out = []
    for i in range(len(examples)):
        history = zip(r.history[i].tolist(), [names[code] for code in r.history_kinds[i]], strict=True)
        bits = [{name for code, name in enumerate(names) if bit >> code & 1} for bit in kinds[i].tolist()]
        found = list(zip(examples.targets[i].tolist(), bits, strict=True))
        exclude = None if r.exclude is None else r.exclude[i].tolist()
        out.append((int(r.users[i]), list(history), exclude, found))
    return out


def expected(user: int, before: list[Event], inside: list[Event], seen: Any) -> list[Any]:
    """A request after some events, by what each kind is for; none where nothing is left to find."""
    sees = ("click", "purchase") if seen is True else seen or ()
    gone = [item for _, item, _, kind in before if kind in sees]
    found: dict[int, set[str]] = {}
    for _, item, _, kind in inside:
        if kind in ("cart", "purchase") and item not in gone:
            found.setdefault(item, set()).add(kind)
    history = [(item, kind) for _, item, _, kind in before if kind in ("click", "purchase")]
    return [(user, history, gone if seen else None, list(found.items()))] if found else []


settled = settings(max_examples=30, deadline=None)
seens = st.sampled_from([True, False, ("purchase",), ("hide", "cart")])


def parts_of(data: Dataset, config: SplitConfig) -> Any:
    try:
        return split(data, config, 0, USES)
    except DataError:
        assume(False)


@settled
@given(events, seens, st.sampled_from(["window", "event"]))
def test_windows_go_by_what_kinds_are_for(rows: list[Event], seen: Any, protocol: str) -> None:
    data = dataset(rows + ALWAYS)
    config = SplitConfig(ranker=0.4, test=0.7, protocol=protocol, exclude_seen=seen)
    parts = parts_of(data, config)
    every = known(data)
    useful = [event for event in every if event[3] != "hide"]
    first, second = useful[int(0.4 * len(useful))][2], useful[int(0.7 * len(useful))][2]
    assert len(parts.train) == sum(event[2] < first for event in useful)
    assert sorted(set(parts.train.kinds.tolist())) == sorted(
        {NAMES.index(event[3]) for event in useful if event[2] < first}
    )
    assert len(parts.negatives) == sum(event[3] == "hide" for event in every)
    for got, start, end in ((parts.ranker, first, second), (parts.test, second, np.inf)):
        want: list[Any] = []
        if protocol == "window":
            for user in sorted({event[0] for event in every}):
                mine = [event for event in every if event[0] == user]
                inside = [event for event in mine if start <= event[2] < end]
                want += expected(user, [event for event in mine if event[2] < start], inside, seen)
        else:
            for event in every:
                if start <= event[2] < end:
                    before = [e for e in every if e[0] == event[0] and e[2] < event[2]]
                    want += expected(event[0], before, [event], seen)
        assert plain(got, NAMES) == want


@settled
@given(events, seens)
def test_the_last_events_that_are_to_be_found_are_left_out(rows: list[Event], seen: Any) -> None:
    data = dataset(rows + ALWAYS)
    parts = parts_of(data, SplitConfig(kind="leave_one_out", exclude_seen=seen))
    every, want, trained = known(data), {1: [], 2: []}, 0
    for user in sorted({event[0] for event in every}):
        mine = [event for event in every if event[0] == user]
        asks = [place for place, event in enumerate(mine) if event[3] in ("cart", "purchase")]
        end = asks[-2] if len(mine) >= 3 and len(asks) >= 2 else len(mine)
        trained += sum(event[3] != "hide" for event in mine[:end])
        for back in (1, 2) if len(mine) >= 3 and len(asks) >= 2 else ():
            place = asks[-back]
            want[back] += expected(user, mine[:place], [mine[place]], seen)
    assert plain(parts.test, NAMES) == want[1]
    assert plain(parts.ranker, NAMES) == want[2]
    assert len(parts.train) == trained


@settled
@given(events, seens, st.data())
def test_a_given_split_finds_target_kinds(rows: list[Event], seen: Any, draw: Any) -> None:
    rows = rows + ALWAYS
    marks = draw.draw(st.lists(st.sampled_from(["train", "test"]), min_size=len(rows), max_size=len(rows)))
    rows, marks = rows + NEVER_EMPTY, marks + ["train"] * 5 + ["test"]
    data = dataset(rows, split=marks)
    parts = parts_of(data, SplitConfig(kind="given", exclude_seen=seen))
    every = list(zip(known(data), data.events["split"], strict=True))
    want: list[Any] = []
    for user in sorted({event[0] for event, _ in every}):
        before = [event for event, part in every if event[0] == user and part == "train"]
        inside = sorted(
            (event for event, part in every if event[0] == user and part == "test"), key=lambda e: e[1]
        )
        want += expected(user, before, inside, seen)
    assert plain(parts.test, NAMES) == want
    held = {(u, i) for u, _, _, found in plain(parts.ranker, NAMES) for i, _ in found}
    assert not held & set(zip(parts.train.users.tolist(), parts.train.items.tolist(), strict=True))


def test_ignored_kinds_are_nowhere() -> None:
    rows = [(u, i, 10 * i + u, kind) for u in range(4) for i in range(5) for kind in ("view", "buy")]
    uses = EventsConfig(history={"buy": 2.0}, ignore=("view",))
    parts = split(dataset(rows), SplitConfig(), 0, uses)
    without = split(dataset([row for row in rows if row[3] == "buy"]), SplitConfig(), 0, uses)
    assert plain(parts.test, ("buy",)) == plain(without.test, ("buy",))
    assert len(parts.train) == len(without.train)
    assert parts.train.kind_names == ("buy",)


def test_kinds_that_nothing_is_said_of_count_alike() -> None:
    rows = [(u, i, 10 * i + u, kind) for u in range(4) for i in range(5) for kind in ("view", "buy")]
    kinds = split(dataset(rows), SplitConfig(), 0).kinds
    assert kinds is not None
    assert kinds.names == ("buy", "view")
    assert kinds.history == kinds.targets == (1.0, 1.0)
    assert not any(kinds.negatives)


BAD_COLUMNS = {
    "a gap among kinds": ({"kind": ["click", None, "click"]}, r"events.kind is missing in row 1"),
    "a list as a kind": ({"kind": ["click", ["x"], "click"]}, r"events.kind holds \['x'\] in row 1"),
    "too many kinds": ({"kind": [f"k{i}" for i in range(31)]}, r"events.kind has 31 values"),
    "a value that is missing": ({"value": [1.0, 2.0, np.nan]}, r"events.value is missing in row 2"),
    "a negative value": ({"value": [1.0, -0.5, 2.0]}, r"events.value is -0.5 in row 1: .* at least 0"),
    "an infinite value": ({"value": [1.0, np.inf, 2.0]}, r"events.value is inf in row 1"),
    "a value beyond float32": ({"value": [1.0, 1e39, 2.0]}, r"events.value is 1e\+39 in row 1"),
    "a word as a value": ({"value": ["1", "2", "dear"]}, r"events.value .* row 2 holds 'dear'"),
}


@pytest.mark.parametrize(("columns", "message"), BAD_COLUMNS.values(), ids=BAD_COLUMNS)
def test_a_wrong_kind_or_value_is_named_with_its_row(columns: dict[str, Any], message: str) -> None:
    n = len(next(iter(columns.values())))
    frame = pd.DataFrame({"user_id": 1, "item_id": range(n), "time": range(n), **columns})
    with pytest.raises(DataError, match=message):
        Dataset.from_frames(Schema(), frame)


BAD_USES = {
    "unknown in the data": (
        {"history": {"clik": 1, "purchase": 1, "cart": 1, "hide": 1}},
        "did you mean 'clik'",
    ),
    "unknown in targets": (
        {"history": {"click": 1, "purchase": 1, "cart": 1, "hide": 1}, "targets": ["purchse"]},
        "events.targets names 'purchse'.*did you mean 'purchase'",
    ),
    "one that is not named": (
        {"history": {"click": 1, "purchase": 1, "cart": 1}},
        "'hide', which .events. does",
    ),
}


@pytest.mark.parametrize(("uses", "message"), BAD_USES.values(), ids=BAD_USES)
def test_an_unknown_kind_is_said_with_the_nearest(uses: dict[str, Any], message: str) -> None:
    with pytest.raises(FunnelError, match=message):
        split(dataset(ALWAYS * 3), SplitConfig(), 0, EventsConfig(**uses))


def test_kinds_are_named_only_where_there_are_some() -> None:
    frame = pd.DataFrame({"user_id": [1, 2, 3], "item_id": [1, 2, 3], "time": [1, 2, 3]})
    data = Dataset.from_frames(Schema(), frame)
    with pytest.raises(ConfigError, match="no column `kind`"):
        split(data, SplitConfig(), 0, USES)
    with pytest.raises(ConfigError, match="exclude_seen names kinds"):
        split(data, SplitConfig(exclude_seen=("purchase",)), 0)
    with pytest.raises(ConfigError, match="'purchas'; did you mean 'purchase'"):
        split(dataset(ALWAYS * 3), SplitConfig(exclude_seen=("purchas",)), 0, USES)


@pytest.mark.parametrize(
    "uses",
    [
        {"targets": ["click"]},
        {"history": {"click": 0}},
        {"history": {"click": -1}},
        {"history": {"click": 1}, "negatives": ["click"]},
        {"history": {"click": 1}, "ignore": ["click"]},
        {"history": {"click": 1}, "targets": ["buy", "buy"]},
        {"history": {f"k{i}": 1 for i in range(31)}},
    ],
)
def test_uses_that_contradict_are_refused(uses: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        EventsConfig(**uses)


def test_kinds_and_values_survive_a_file(tmp_path: Any) -> None:
    data = dataset(ALWAYS, value=np.arange(6) / 2)
    data.save(tmp_path / "shop")
    again = Dataset.from_folder(tmp_path / "shop")
    assert known(again) == known(data)
    assert again.checksum() == data.checksum()
    assert again.log.values is not None
    assert again.log.values.tolist() == [0, 0.5, 1, 1.5, 2, 2.5]
    assert data.checksum() != dataset(ALWAYS, value=np.arange(6) / 3).checksum()


def test_a_schema_that_declared_kind_and_value_is_read() -> None:
    raw = {"events": [{"name": "kind", "kind": "category"}, {"name": "device", "kind": "category"}]}
    schema = Schema.model_validate(raw)
    assert [column.name for column in schema.events] == ["device"]
    frame = pd.DataFrame({"user_id": [1], "item_id": [1], "time": [1], "kind": ["buy"], "device": ["phone"]})
    assert Dataset.from_frames(schema, frame).log.kind_names == ("buy",)
