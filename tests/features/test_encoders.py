"""Encoders: what is known has its code, what is not has its place, and nothing raises."""

from __future__ import annotations

import tracemalloc
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.data import Column
from funnel.errors import BundleError, DataError
from funnel.features import Spec, TableEncoder
from funnel.values.texts import load_ids

COLUMNS = (
    Column(name="shop", kind="category"),
    Column(name="tags", kind="multi_category"),
    Column(name="title", kind="text"),
    Column(name="price", kind="number"),
    Column(name="look", kind="vector", size=2),
)

FRAME = pd.DataFrame(
    {
        "shop": ["b", "a", "b", None],
        "tags": [["x", "y"], ["y"], [], ["y", "z", "x"]],
        "title": ["Red shoes", "red Hat", "blue", None],
        "price": [1.0, 3.0, np.nan, np.inf],
        "look": [np.array([1.0, 2.0]), None, np.array([np.nan, 1.0]), np.array([0.0, np.inf])],
    }
)


@pytest.fixture
def encoder() -> TableEncoder:
    return TableEncoder.fit(COLUMNS, FRAME)


def encode_one(encoder: TableEncoder, **values: Any) -> dict[str, Any]:
    frame = pd.DataFrame({name: pd.Series([value], dtype=object) for name, value in values.items()})
    return {name: column[0] for name, column in encoder.encode(frame).items()}


def test_each_kind_has_its_form(encoder: TableEncoder) -> None:
    assert encoder.specs == {
        "shop": Spec("category", 3, 1),
        "tags": Spec("multi_category", 4, 3),
        "title": Spec("multi_category", 2, 1),
        "price": Spec("number", 2, 2),
        "look": Spec("vector", 2, 2),
    }
    encoded = encoder.encode(FRAME)
    assert encoded["shop"].tolist() == [1, 2, 1, 0]  # the commonest value is 1
    assert encoded["tags"].tolist() == [[1, 2, 0], [1, 0, 0], [0, 0, 0], [1, 2, 3]]
    assert encoded["title"].tolist() == [[1], [1], [0], [0]]  # "red"; the other words are met once
    assert encoded["price"].tolist() == [[-1, 0], [1, 0], [0, 1], [0, 1]]
    assert encoded["look"].tolist() == [[1, 2], [0, 0], [0, 1], [0, 0]]
    for name, values in encoded.items():
        assert values.dtype == (np.float32 if name in ("price", "look") else np.int32)


def test_what_was_not_in_the_fit_is_unknown(encoder: TableEncoder) -> None:
    one = encode_one(encoder, shop="c", tags=["q", "z"], title="green", price=1e9, look=None)
    assert one["shop"] == 0
    assert one["tags"].tolist() == [3, 0, 0]
    assert one["title"].tolist() == [0]
    assert one["price"].tolist() == [5, 0]  # cut at five deviations


def prices(values: list[float]) -> TableEncoder:
    return TableEncoder.fit([Column(name="price", kind="number")], pd.DataFrame({"price": values}))


@pytest.mark.parametrize("value", [0.1, 19.99, -4.35, 0.0, 7.0])
def test_a_number_that_all_rows_share_has_a_deviation_of_one(value: float) -> None:
    encoder = prices([value] * 5000)
    assert encode_one(encoder, price=value)["price"].tolist() == [0, 0]
    assert encode_one(encoder, price=value + 0.5)["price"].tolist() == [0.5, 0]


@pytest.mark.parametrize("same", [0, 900])
@pytest.mark.parametrize("mistake", [1e12, -1e200, 1.7e308])
def test_a_mistaken_number_hides_no_other(mistake: float, same: int) -> None:
    """same: of the others, whose middle half is one value then."""
    usual = [0.0] * same + np.random.default_rng(0).uniform(10, 100, 1000 - same).tolist()
    frame = pd.DataFrame({"price": [*usual, mistake]})
    encoded = prices(frame["price"].tolist()).encode(frame)["price"]
    np.testing.assert_array_equal(encoded[:-1], prices(usual).encode(frame)["price"][:-1])
    assert encoded[-1].tolist() == [np.copysign(5, mistake), 0]


def test_a_value_is_the_same_as_a_number_and_in_writing() -> None:
    encoder = TableEncoder.fit([Column(name="zip", kind="id")], pd.DataFrame({"zip": [7, 7, 12]}))
    frame = pd.DataFrame({"zip": pd.Series([7, 7.0, "7", np.int64(12), np.nan, pd.NA, "07"], dtype=object)})
    assert encoder.encode(frame)["zip"].tolist() == [1, 1, 1, 2, 0, 0, 0]


def test_a_list_that_is_too_long_keeps_its_rarest_values() -> None:
    rows = [[f"v{number:02d}" for number in range(n)] for n in range(1, 21)]
    encoder = TableEncoder.fit([Column(name="tags", kind="multi_category")], pd.DataFrame({"tags": rows}))
    assert encoder.specs["tags"] == Spec("multi_category", 21, 16)
    assert encode_one(encoder, tags=rows[-1])["tags"].tolist() == list(range(5, 21))


def test_columns_that_are_absent_are_missing_and_others_are_left_out(encoder: TableEncoder) -> None:
    encoded = encoder.encode(pd.DataFrame({"colour": ["red", "blue"]}))
    assert set(encoded) == set(encoder.specs)
    assert encoded["shop"].tolist() == [0, 0]
    assert encoded["price"].tolist() == [[0, 1], [0, 1]]
    assert not encoded["look"].any()


def test_no_rows_and_no_finite_number() -> None:
    encoder = TableEncoder.fit(COLUMNS, FRAME.iloc[:0])
    assert encode_one(encoder, shop="a", price=2.5)["price"].tolist() == [2.5, 0]
    assert all(len(column) == 0 for column in encoder.encode(FRAME.iloc[:0]).values())
    with pytest.raises(DataError, match="'look' has no size"):
        TableEncoder.fit([COLUMNS[-1].model_copy(update={"size": None})], FRAME.iloc[:0])


def test_a_vector_of_another_length_is_an_error(encoder: TableEncoder) -> None:
    with pytest.raises(DataError, match="'look', row 0: 3 numbers, 2 are expected"):
        encode_one(encoder, look=np.zeros(3))


def test_saved_and_loaded_it_encodes_the_same(encoder: TableEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path / "encoder")
    loaded = TableEncoder.load(tmp_path / "encoder")
    assert list(loaded.specs) == list(encoder.specs)
    assert loaded.specs == encoder.specs
    for name, values in encoder.encode(FRAME).items():
        np.testing.assert_array_equal(loaded.encode(FRAME)[name], values)


def test_one_long_value_does_not_multiply_the_files(tmp_path: Path) -> None:
    """Nor is it lost or cut: 2,000 values, of which one has a million letters."""
    shops = [f"shop {number}" for number in range(2000)] + ["x" * 1_000_000, "nought\0", ""]
    frame = pd.DataFrame({"shop": pd.Series(shops, dtype=object)})
    encoder = TableEncoder.fit([Column(name="shop", kind="category")], frame)
    encoder.save(tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 1_200_000
    loaded = TableEncoder.load(tmp_path)
    assert loaded.values("shop") == encoder.values("shop")
    np.testing.assert_array_equal(loaded.encode(frame)["shop"], encoder.encode(frame)["shop"])


def test_values_that_an_earlier_version_saved_are_read(encoder: TableEncoder, tmp_path: Path) -> None:
    encoder.save(tmp_path)
    for path in tmp_path.glob("*.npy"):
        np.save(path, np.array(load_ids(path).tolist(), dtype=np.str_))
    again = TableEncoder.load(tmp_path)
    assert [again.values(name) for name in again.specs] == [encoder.values(name) for name in encoder.specs]


def test_a_fit_holds_the_words_of_one_text_at_a_time() -> None:
    """What is kept are the known words and the codes, not the words of all rows."""
    texts = [" ".join(f"w{(row * 7 + k) % 500}" for k in range(300)) for row in range(400)]
    frame, column = pd.DataFrame({"title": texts}), Column(name="title", kind="text")
    tracemalloc.start()
    encoder = TableEncoder.fit([column], frame)
    encoder.encode(frame)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000  # the words of all rows are 120,000 texts of some 50 bytes each


@pytest.mark.parametrize("content", [None, "{", "[1]", '[["shop", "tree", {}]]', '[["shop", "list", {}]]'])
def test_a_damaged_file_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "encoder.json").write_text(content)
    with pytest.raises(BundleError, match=r"encoder\.json|0\.npy"):
        TableEncoder.load(tmp_path)


ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.just(pd.NA), st.just(pd.NaT)
)


@settings(max_examples=60, deadline=None)
@given(fit=st.lists(ANYTHING, max_size=8), later=st.lists(ANYTHING, max_size=8))
def test_no_value_of_a_single_column_raises(fit: list[Any], later: list[Any]) -> None:
    for column in COLUMNS[:4]:
        encoder = TableEncoder.fit([column], pd.DataFrame({column.name: pd.Series(fit, dtype=object)}))
        values = encoder.encode(pd.DataFrame({column.name: pd.Series(later, dtype=object)}))[column.name]
        spec = encoder.specs[column.name]
        assert len(values) == len(later)
        assert np.isfinite(values).all()
        if spec.kind != "number":
            assert values.size == 0 or 0 <= values.min() <= values.max() < spec.size


def test_a_truth_value_is_false_true_or_missing() -> None:
    column = Column(name="active", kind="boolean")
    fitted = TableEncoder.fit(
        [column], pd.DataFrame({"active": pd.array([True, True, False, None], "boolean")})
    )
    asked = pd.DataFrame({"active": pd.Series([False, "true", 1, None, "?", np.False_], dtype=object)})
    assert fitted.encode(asked)["active"].tolist() == [1, 2, 2, 0, 0, 1]
    assert fitted.values("active") == ["false", "true"]
    one = TableEncoder.fit([column], pd.DataFrame({"active": [True]}))
    assert one.encode(asked)["active"].tolist() == [0, 1, 1, 0, 0, 0]  # nothing is known of false


def test_a_value_given_alone_is_that_of_the_table() -> None:
    columns = [Column(name="level", kind="category"), Column(name="tags", kind="multi_category")]
    table = pd.DataFrame({"level": ["0.5", "1", "2"], "tags": [["a"], ["a", "b"], ["b"]]})
    fitted = TableEncoder.fit(columns, table)
    for level in (1, 1.0, "1.0", np.float32(1), Decimal(1)):
        for tags in ("a|b", ["b", "a"], {"a", "b"}):
            found = fitted.encode(pd.DataFrame({"level": [level], "tags": pd.Series([tags], dtype=object)}))
            assert fitted.values("level")[found["level"][0] - 1] == "1"
            assert found["tags"].tolist() == [[1, 2]]
