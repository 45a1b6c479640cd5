"""One value, one form: alone or among others, from a file or a call."""

from __future__ import annotations

import uuid
from datetime import date
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.errors import DataError
from funnel.values.arrow import plain
from funnel.values.ids import as_ids, written
from funnel.values.words import listed, word, words

BIG = 1_732_412_345_678_901_234

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(-(2**53) + 1, 2**53 - 1),
    st.sampled_from(["a", "3", "3.0", "-0.0", "007", "1.50", "True", "false", "", "x|y", "Größe"]),
    st.sampled_from([Decimal("1.50"), Decimal("3.00"), date(2024, 5, 1), uuid.UUID(int=7)]),
)


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_a_value_does_not_depend_on_its_neighbours(values: list[Any]) -> None:
    column = words(pd.Series(values, dtype=object), "x")
    alone = [word(value, "x") for value in values]
    assert [None if pd.isna(one) else one for one in column] == alone


@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1))
def test_whole_numbers_keep_every_figure_beside_a_gap(values: list[int | None]) -> None:
    expected = [None if value is None else str(value) for value in values]
    for column in (pd.Series(values, dtype="Int64"), pd.Series(values, dtype=pd.ArrowDtype(pa.int64()))):
        found = words(plain(column), "x")
        assert [None if pd.isna(one) else one for one in found] == expected


@pytest.mark.parametrize("value", [3, 3.0, np.float32(3), np.int8(3), Decimal("3.00"), "3", "3.0", "3.000"])
def test_a_whole_number_is_one_value_however_it_comes(value: object) -> None:
    assert word(value, "x") == "3"
    assert written(value) == "3"


def test_a_column_of_any_type_says_what_its_values_say() -> None:
    for column in (
        pd.Series([1.5, np.nan, 3.0]),
        pd.Series([1.5, np.nan, 3.0], dtype="float32"),
        pd.Series([1.5, None, 3], dtype=object),
        pd.Series(["1.5", None, "3.0"], dtype="str"),
        pd.Series(pd.Categorical([1.5, None, 3.0])),
        pd.Series([Decimal("1.50"), None, Decimal(3)], dtype=object),
    ):
        assert [None if pd.isna(one) else one for one in words(column, "x")] == ["1.5", None, "3"]


@pytest.mark.parametrize("value", [[1], {"a": 1}, b"a", 2.0**53, -(2.0**60), np.float32(2.0**60)])
def test_what_is_no_single_value_is_refused_by_its_row(value: object) -> None:
    with pytest.raises(DataError, match=r"x holds .* in row 2"):
        words(pd.Series(["a", None, value], dtype=object), "x")
    assert written(value) is None


def test_a_float_that_may_have_lost_figures_is_refused_in_a_column_of_floats() -> None:
    with pytest.raises(DataError, match=r"x holds .* in row 1: a float of 2\*\*53"):
        words(pd.Series([1.0, float(BIG)]), "x")


def test_lists_in_any_form_are_one_list() -> None:
    assert listed([BIG, BIG + 1, None], "x") == [str(BIG), str(BIG + 1)]
    assert listed("True|3.0|", "x") == listed([True, 3.0], "x") == ["true", "3"]
    assert listed({"b", "a"}, "x") == ["a", "b"]
    assert listed(None, "x") == listed("", "x") == []


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([2**63 - 1, -(2**63)], [2**63 - 1, -(2**63)]),
        ([2**63, 5], [str(2**63), "5"]),
        ([uuid.UUID(int=1)], [str(uuid.UUID(int=1))]),
        ([Decimal(2**63 - 1), 5.0], [2**63 - 1, 5]),
        ([Decimal("1.5")], ["1.5"]),
    ],
)
def test_ids_are_exact(values: list[Any], expected: list[Any]) -> None:
    assert as_ids(pd.Series(values, dtype=object), "x").tolist() == expected
