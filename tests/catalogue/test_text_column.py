"""Texts that are read in place, beside Arrow's own way."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.catalogue.tables import Catalogue
from funnel.catalogue.text_column import TextColumn, TextLists
from funnel.data import Vocabulary

TEXTS = st.lists(st.none() | st.text(max_size=6), max_size=40)


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
@given(texts=TEXTS, first=st.integers(0, 9), data=st.data())
def test_rows_of_a_column_are_as_arrow_has_them(
    kind: pa.DataType, texts: list[str | None], first: int, data: st.DataObject
) -> None:
    array = pa.array(texts, kind)[first:]
    rows = np.array(data.draw(st.lists(st.integers(0, max(len(array) - 1, 0)))), dtype=np.int32)
    rows = rows if len(array) else rows[:0]
    assert TextColumn(array).at(rows) == array.take(pa.array(rows, pa.int32())).to_pylist()


@pytest.mark.parametrize("kind", [pa.list_(pa.string()), pa.large_list(pa.large_string())])
@given(lists=st.lists(st.none() | TEXTS, max_size=20), first=st.integers(0, 9), data=st.data())
def test_rows_of_lists_are_as_arrow_has_them(
    kind: pa.DataType, lists: list[list[str | None] | None], first: int, data: st.DataObject
) -> None:
    array = pa.array(lists, kind)[first:]
    rows = np.array(data.draw(st.lists(st.integers(0, max(len(array) - 1, 0)))), dtype=np.int32)
    rows = rows if len(array) else rows[:0]
    assert TextLists.can_read(array)
    assert TextLists(array).at(rows) == array.take(pa.array(rows, pa.int32())).to_pylist()


def test_only_texts_are_read_so() -> None:
    assert TextColumn.can_read(pa.array(["a", None]))
    others = [pa.array([1]), pa.array([b"a"]), pa.array([["a"]]), pa.array(["a"]).dictionary_encode()]
    assert not any(TextColumn.can_read(array) for array in others)
    others = [pa.array(["a"]), pa.array([[1]]), pa.array([[["a"]]])]
    assert not any(TextLists.can_read(array) for array in others)


def test_records_have_every_kind_of_column() -> None:
    columns = {
        "title": pd.Series(["é", None, ""], dtype="str"),
        "price": [1.5, np.nan, 3.0],
        "tags": [["a", "b"], [], None],
    }
    catalogue = Catalogue(Vocabulary(np.arange(3)), pd.DataFrame(columns), {})
    records = catalogue.records(np.array([2, 0]))
    assert [record["title"] for record in records] == ["", "é"]
    assert [record["tags"] for record in records] == [None, ["a", "b"]]
    assert catalogue.records(np.array([1]), ["title"]) == [{"title": None}]
