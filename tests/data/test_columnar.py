"""Long tables in little memory: what they hold is what pandas would, whatever way it came."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from funnel.data.columnar import columns, rows
from funnel.data.columnar.collect import KeyDictionary
from funnel.data.columnar.columns import RunEncoded
from funnel.data.columnar.dictionary import NumberDictionary, TextDictionary
from funnel.data.columnar.grouping import first_equal_in_lists, grouped
from funnel.data.columnar.growing import GrowingArray
from funnel.data.columnar.rows import groups_of, is_rising, repeats
from funnel.data.columnar.table import Table

#: A machine that does much else draws examples slowly.
SLOW = [HealthCheck.too_slow]

TEXTS = st.lists(st.one_of(st.none(), st.text(max_size=4), st.just("long " * 400)), max_size=40)
NUMBERS = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=40)


def codes_of(values: list[object]) -> list[int]:
    """Slowly: the place of each value among the different ones, in the order in which they appear."""
    there: list[object] = []
    for value in values:
        if value is not None and value not in there:
            there.append(value)
    return [-1 if value is None else there.index(value) for value in values]


@given(TEXTS, TEXTS)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_texts_get_the_next_number_when_they_first_appear(first: list[str], then: list[str]) -> None:
    texts = TextDictionary()
    parts = [texts.codes(pd.Series(part, dtype="str")).tolist() for part in (first, then)]
    assert parts[0] + parts[1] == codes_of([*first, *then])
    assert texts.values().tolist() == list(dict.fromkeys(v for v in [*first, *then] if v is not None))


@given(NUMBERS, NUMBERS)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_numbers_do_too(first: list[int], then: list[int]) -> None:
    numbers = NumberDictionary()
    parts = [numbers.codes(np.array(part, dtype=np.int64)).tolist() for part in (first, then)]
    assert parts[0] + parts[1] == codes_of([*first, *then])


def test_a_dictionary_keeps_its_numbers_as_it_grows() -> None:
    numbers, texts = NumberDictionary(), TextDictionary()
    values = np.random.default_rng(0).permutation(5000)
    for part in np.split(values, 10):
        numbers.codes(part)
        texts.codes(pd.Series(part).astype("str"))
    assert numbers.codes(values).tolist() == list(range(5000))
    assert texts.codes(pd.Series(values).astype("str")).tolist() == list(range(5000))


def test_ids_become_text_when_one_is() -> None:
    ids = KeyDictionary()
    assert ids.codes(pd.Series([7, 8, 7])).tolist() == [0, 1, 0]
    assert ids.codes(pd.Series(["x", "8"], dtype="str")).tolist() == [2, 1]
    assert ids.codes(pd.Series([7, 9])).tolist() == [0, 3]
    assert ids.values().tolist() == ["7", "8", "x", "9"]


def test_an_array_grows_and_takes_the_type_that_holds_all() -> None:
    array = GrowingArray(np.int64, 3)
    array.add(np.array([1, 2]))
    array.add(np.arange(10_000))
    array.add(np.array([0.5]))
    assert array.whole().dtype == np.float64
    assert array.whole().tolist() == [1.0, 2.0, *map(float, range(10_000)), 0.5]


@given(st.lists(st.integers(0, 6), max_size=60))
@settings(max_examples=40, deadline=None, suppress_health_check=SLOW)
def test_rows_by_group_are_those_of_a_stable_sort(groups: list[int]) -> None:
    order, offsets = grouped(np.array(groups, dtype=np.int32), 8)
    assert order.tolist() == sorted(range(len(groups)), key=lambda row: groups[row])
    assert np.diff(offsets).tolist() == [groups.count(group) for group in range(8)]


@given(st.lists(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=40), max_size=5))
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_the_first_of_an_item_in_its_list(lists: list[list[tuple[int, bool]]]) -> None:
    items = np.array([item for part in lists for item, _ in part], dtype=np.int32)
    counts = np.array([count for part in lists for _, count in part], dtype=np.bool_)
    offsets = np.append(0, np.cumsum([len(part) for part in lists])).astype(np.int64)
    first, counted = first_equal_in_lists(items, offsets), first_equal_in_lists(items, offsets, counts)
    for begin, end in pairwise(offsets):
        for at in range(begin, end):
            same = [other for other in range(begin, end) if items[other] == items[at]]
            assert first[at] == same[0]
            assert counted[at] == next((other for other in same if counts[other]), len(items))


ROWS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.sampled_from(["a", "b", None]),
        st.sampled_from([0.0, -0.0, 1.5, float("nan")]),
        st.sampled_from([True, False, None]),
        st.sampled_from([["x"], ["x", "y"], []]),
    ),
    max_size=80,
)


def mixed(values: list[tuple[object, ...]]) -> pd.DataFrame:
    time, word, number, truth, words = zip(*values, strict=True) if values else ([],) * 5
    return pd.DataFrame(
        {
            "time": np.array(time, dtype=np.int64),
            "word": pd.Series(word, dtype="str"),
            "number": np.array(number, dtype=np.float64),
            "truth": pd.Series(truth, dtype="boolean"),
            "words": pd.Series(list(words), dtype=object),
        }
    )


@given(ROWS)
@settings(max_examples=60, deadline=None, suppress_health_check=SLOW)
def test_repeats_are_those_that_pandas_finds(values: list[tuple[object, ...]]) -> None:
    frame = mixed(values).sort_values("time", kind="stable", ignore_index=True)
    table = Table.of(frame)
    again = repeats(table, groups_of(table.array("time")))
    comparable = frame.assign(words=frame["words"].map(repr), truth=frame["truth"].astype("Int8"))
    expected = comparable.duplicated().tolist()
    assert (again.tolist() if again is not None else [False] * len(frame)) == expected


@given(ROWS)
@settings(max_examples=30, deadline=None, suppress_health_check=SLOW)
def test_a_frame_comes_back_as_it_was(values: list[tuple[object, ...]]) -> None:
    frame = mixed(values)
    table = Table.of(frame)
    assert_frame_equal(table.frame(), frame)
    some = np.arange(len(frame))[::-2]
    assert_frame_equal(table.take(some).frame(), frame.iloc[some].reset_index(drop=True))
    assert_frame_equal(table.frame(slice(1, 4), ["word"]), frame[["word"]].iloc[1:4].reset_index(drop=True))


def test_runs_are_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "BLOCK", 3)
    inner = Table.of(pd.DataFrame({"x": [7.0, 8.0, 9.0]})).columns["x"]
    runs = RunEncoded(inner, np.array([0, 2, 3, 7]))  # type: ignore[arg-type]
    assert runs.series().tolist() == [7, 7, 8, 9, 9, 9, 9]
    assert runs.series(slice(1, 4)).tolist() == [7, 8, 9]
    assert runs.take(np.array([6, 0])).series().tolist() == [9, 7]
    assert runs.take(np.arange(7) % 2 == 0).series().tolist() == [7, 8, 9, 9]


def test_blocks_meet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "BLOCK", 4)
    values = np.array([1, 1, 2, 2, 2, 3, 3, 3, 3, 4])
    assert is_rising(values)
    assert not is_rising(values[[0, 1, 2, 4, 9, 5]])
    assert groups_of(values).tolist() == [0, 2, 5, 9, 10]
    frame = pd.DataFrame({"time": np.repeat([1, 2, 3], [3, 9, 3]), "x": [0, 1, 0, *range(8), 3, 5, 5, 6]})
    again = repeats(Table.of(frame), groups_of(frame["time"].to_numpy()))
    assert again is not None
    assert np.flatnonzero(again).tolist() == [2, 11, 13]
