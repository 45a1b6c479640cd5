"""Ids to rows, whatever comes in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.data import Vocabulary
from funnel.errors import DataError

INTEGERS = Vocabulary.of([30, 10, 20, 10, -5])
TEXTS = Vocabulary.of(["b", "a", "cc", "7"])
ODD = [
    None,
    np.nan,
    pd.NA,
    pd.NaT,
    float("inf"),
    [1],
    {},
    b"a",
    object(),
    "",
    "zzzzzz",
    2.5,
    True,
    10**30,
    "007",
]


def test_values_are_sorted_and_distinct() -> None:
    assert INTEGERS.values.tolist() == [-5, 10, 20, 30]
    assert INTEGERS.values.dtype == np.int64
    assert TEXTS.values.tolist() == ["7", "a", "b", "cc"]
    assert TEXTS.values.dtype.kind == "U"
    assert len(TEXTS) == 4


@pytest.mark.parametrize("values", [[1, "a"], [1.5, 2.0], [2**63, 1], [True, False]])
def test_what_is_not_all_integers_is_text(values: list[object]) -> None:
    assert Vocabulary.of(values).values.dtype.kind == "U"


def test_a_missing_id_is_refused() -> None:
    with pytest.raises(DataError, match="row 1"):
        Vocabulary.of([1, None])


@pytest.mark.parametrize(
    "vocabulary", [INTEGERS, TEXTS, Vocabulary(np.empty(0, np.int64)), Vocabulary.of([])]
)
def test_odd_values_are_unknown_and_nothing_raises(vocabulary: Vocabulary) -> None:
    assert [vocabulary.row(value) for value in ODD] == [-1] * len(ODD)
    assert vocabulary.rows(ODD).tolist() == [-1] * len(ODD)
    assert vocabulary.rows(pd.Series(ODD, dtype=object)).tolist() == [-1] * len(ODD)
    assert vocabulary.rows([]).tolist() == []


@pytest.mark.parametrize(
    "values",
    [
        [10, 99, 30],
        ["10", "99", "30"],
        [10.0, np.nan, 30.0],
        [10, None, "30"],
        np.array([10, 99, 30], dtype=np.int8),
        np.array([10, 99, 30], dtype=np.uint64),
        np.array([10, np.nan, 30]),
        pd.Series([10, 99, 30]),
        pd.Series([10, None, 30]),
        pd.Series(["10", None, "30"]),
        pd.array([10, None, 30], dtype="Int64"),
        pd.Categorical([10, 99, 30]),
    ],
)
def test_an_integer_is_found_however_it_is_written(values: object) -> None:
    rows = INTEGERS.rows(values)
    assert rows.tolist() == [1, -1, 3]
    assert rows.dtype == np.int32


@pytest.mark.parametrize("values", [[7, "cc", "ccc"], [7.0, "cc", None], np.array(["7", "cc", "ccd"])])
def test_texts_are_found_and_longer_ones_are_not_cut(values: object) -> None:
    assert TEXTS.rows(values).tolist() == [0, 3, -1]
    assert TEXTS.rows(pd.Series(values)).tolist() == [0, 3, -1]


def test_saved_and_mapped(tmp_path: Path) -> None:
    for vocabulary in (INTEGERS, TEXTS):
        vocabulary.save(tmp_path / "ids.npy")
        again = Vocabulary.load(tmp_path / "ids.npy")
        assert isinstance(again.values.base, np.memmap)
        assert again.values.tolist() == vocabulary.values.tolist()
        assert again.row(vocabulary.values[2]) == 2


@given(
    ids=st.sets(st.integers(-50, 50) | st.sampled_from(["a", "ab", "007", "b b", "ä"])),
    asked=st.lists(st.integers(-60, 60) | st.sampled_from(["a", "ab", "abc", "007", "7", "ä"])),
)
def test_rows_agree_with_a_dictionary(ids: set[object], asked: list[object]) -> None:
    vocabulary = Vocabulary.of(list(ids))
    place = {str(value): row for row, value in enumerate(vocabulary.values.tolist())}
    expected = [place.get(str(value), -1) for value in asked]
    assert vocabulary.rows(asked).tolist() == expected
    assert vocabulary.rows(pd.Series(asked, dtype=object)).tolist() == expected
    assert [vocabulary.row(value) for value in asked] == expected


def test_integers_beyond_64_bits_do_not_round_those_beside_them() -> None:
    large = 2**53 + 1  # as a float it is 2**53
    vocabulary = Vocabulary(np.array([2**53, large]))
    assert vocabulary.rows([large, -1, 2**63]).tolist() == [1, -1, -1]
    assert vocabulary.rows([large, -1, 2**70]).tolist() == [1, -1, -1]
