"""Columns in one form, and messages that say what is wrong where."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pydantic import ValidationError

from funnel.data import Column, Schema
from funnel.errors import DataError

SCHEMA = Schema(
    items=(
        Column(name="brand", kind="category"),
        Column(name="genres", kind="multi_category"),
        Column(name="price", kind="number"),
        Column(name="picture", kind="vector", size=2),
        Column(name="title", kind="text"),
    )
)


def items(**columns: object) -> pd.DataFrame:
    return pd.DataFrame({"item_id": [1, 2, 3], **columns})


def checked(**columns: object) -> pd.DataFrame:
    return SCHEMA.check(items(**columns), "items")


def test_every_kind_has_one_form_and_absent_columns_are_missing() -> None:
    table = checked()
    assert list(table.columns) == ["item_id", "brand", "genres", "price", "picture", "title"]
    assert table["brand"].isna().all()
    assert table["genres"].tolist() == [[], [], []]
    assert table["price"].isna().all()
    assert table["picture"].tolist() == [None, None, None]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([1, 2, 3], ["1", "2", "3"]),
        ([1.0, np.nan, 3.0], ["1", None, "3"]),
        ([1.5, np.nan, 3.0], ["1.5", None, "3"]),
        (["a", "", None], ["a", None, None]),
        (["a", 2, 3.0], ["a", "2", "3"]),
        (["True", "3.00", "007"], ["true", "3", "007"]),
        ([Decimal("1.50"), Decimal(3), None], ["1.5", "3", None]),
        (
            pd.to_datetime(["2024-05-01", None, "2024-05-01 10:30"], format="ISO8601"),
            ["2024-05-01", None, "2024-05-01 10:30:00"],
        ),
        (pd.to_datetime(["2024-05-01", None, "2024-05-02"]), ["2024-05-01", None, "2024-05-02"]),
        ([np.inf, np.float32(0.1), np.True_], [None, "0.1", "true"]),
        (pd.Series([2**53 + 1, None, 2**63], dtype="UInt64"), [str(2**53 + 1), None, str(2**63)]),
        (pd.Series([2**53 + 1, None, 3], dtype=pd.ArrowDtype(pa.int64())), [str(2**53 + 1), None, "3"]),
        (pd.Categorical(["x", None, "x"]), ["x", None, "x"]),
        (pd.array([1, None, 3], dtype="Int64"), ["1", None, "3"]),
        ([True, False, True], ["true", "false", "true"]),
    ],
)
def test_a_category_becomes_text(given: object, expected: list[str | None]) -> None:
    column = checked(brand=given)["brand"]
    assert column.dtype == "str"
    assert [None if pd.isna(value) else value for value in column] == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a|b", "", None], [["a", "b"], [], []]),
        ([["b", "a", "b"], np.array(["c"]), ()], [["b", "a"], ["c"], []]),
        ([{"z", "y"}, [1, 2.0, None], [np.nan, ""]], [["y", "z"], ["1", "2"], []]),
    ],
)
def test_a_multi_category_becomes_distinct_texts(given: object, expected: list[list[str]]) -> None:
    assert checked(genres=pd.Series(given, dtype=object))["genres"].tolist() == expected


def test_numbers_keep_infinity_and_read_what_is_written() -> None:
    assert checked(price=["3", "inf", None])["price"].tolist()[:2] == [3.0, np.inf]
    assert checked(price=pd.array([1, None, 3], dtype="Int64"))["price"].isna().tolist() == [
        False,
        True,
        False,
    ]


def test_vectors_are_float32_of_their_size() -> None:
    vectors = checked(picture=pd.Series([[1, 2], "3|4", None], dtype=object))["picture"]
    assert [None if v is None else v.tolist() for v in vectors] == [[1.0, 2.0], [3.0, 4.0], None]
    assert vectors[0].dtype == np.float32


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"price": [1, "cheap", 2]}, "items.price .* row 1 holds 'cheap'"),
        ({"price": pd.to_datetime(["2020", "2021", "2022"])}, "items.price .* dates"),
        ({"price": [[1], [2], [3]]}, "items.price .* row 0 holds .1."),
        ({"brand": [["a"], ["b"], ["c"]]}, "items.brand holds"),
        ({"genres": [{"a": 1}, None, None]}, "items.genres holds"),
        ({"picture": [[1, 2], [1, 2, 3], None]}, r"items.picture .*shape \(3,\).* 2"),
        ({"picture": ["1|x", None, None]}, "items.picture holds '1|x'"),
    ],
)
def test_a_wrong_type_names_column_and_value(columns: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked(**columns)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("number", [1.0, np.nan, 2.0]),
        ("number", [1.0, np.inf, 2.0]),
        ("category", ["a", None, "b"]),
        ("multi_category", ["a", "", "b"]),
        ("vector", ["1", None, "2"]),
    ],
)
def test_a_gap_in_a_required_column_is_refused(kind: str, values: list[object]) -> None:
    size = 1 if kind == "vector" else None
    schema = Schema(items=(Column(name="x", kind=kind, required=True, size=size),))
    with pytest.raises(DataError, match=r"items.x is required, but 1 of 3 .*row 1"):
        schema.check(items(x=values), "items")


def test_an_absent_required_column_names_its_likely_spelling() -> None:
    schema = Schema(items=(Column(name="price", kind="number", required=True),))
    with pytest.raises(DataError, match=r"no column 'price': it has item_id, prices; did you mean 'prices'"):
        schema.check(items(prices=1), "items")
    with pytest.raises(DataError, match="no column 'item_id': it has id"):
        schema.check(pd.DataFrame({"id": [1]}), "items")


def test_what_is_no_table_is_refused() -> None:
    with pytest.raises(DataError, match="items is a list: a pandas DataFrame"):
        SCHEMA.check([1, 2], "items")
    with pytest.raises(DataError, match="same name: item_id"):
        SCHEMA.check(pd.DataFrame([[1, 2]], columns=["item_id", "item_id"]), "items")


def test_the_frame_given_is_not_changed() -> None:
    frame = items(brand=[1, 2, 3]).set_index(pd.Index([7, 8, 9]))
    before = frame.copy()
    SCHEMA.check(frame, "items")
    pd.testing.assert_frame_equal(frame, before)


def test_json_and_back_with_a_fingerprint_that_follows_the_content() -> None:
    again = Schema.model_validate_json(SCHEMA.model_dump_json())
    assert again == SCHEMA
    assert again.fingerprint() == SCHEMA.fingerprint()
    assert Schema(items=SCHEMA.items[:-1]).fingerprint() != SCHEMA.fingerprint()
    assert Schema(users=SCHEMA.items).fingerprint() != SCHEMA.fingerprint()


@pytest.mark.parametrize(
    "columns",
    [
        (Column(name="a", kind="number"), Column(name="a", kind="text")),
        (Column(name="item_id", kind="id"),),
    ],
)
def test_names_are_distinct_and_no_keys(columns: tuple[Column, ...]) -> None:
    with pytest.raises(ValidationError):
        Schema(items=columns)


@pytest.mark.parametrize("options", [{"kind": "vector"}, {"kind": "text", "size": 3}, {"kind": "colour"}])
def test_a_column_is_described_whole(options: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Column(name="a", **options)
