"""Everything that goes out as JSON is strict JSON."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NoReturn
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.serving.response import Answer, Recommendation
from funnel.values.plain import as_json, plain


def strictly(text: str) -> Any:
    """As a reader that takes no NaN and only what UTF-8 can hold."""

    def refuse(name: str) -> NoReturn:
        raise ValueError(f"{name} is no JSON")

    found = json.loads(text, parse_constant=refuse)
    json.dumps(found, ensure_ascii=False).encode()
    return found


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
    | st.decimals() | st.uuids() | st.datetimes() | st.dates() | st.timedeltas() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=8,
)  # fmt: skip


@given(VALUES)
def test_any_value_is_written_and_reads_as_it_was_made_plain(value: Any) -> None:
    assert strictly(as_json(value)) == plain(value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(np.inf), None),
        (np.array([1.0, np.nan, -np.inf]), [1.0, None, None]),
        (np.array([1, 2]), [1, 2]),
        (pd.NaT, None),
        (pd.NA, None),
        (np.datetime64("2024-01-02T03:04:05", "s"), "2024-01-02T03:04:05"),
        (pd.Timestamp("2024-01-02", tz="UTC"), "2024-01-02T00:00:00+00:00"),
        (datetime(2024, 1, 2, tzinfo=UTC), "2024-01-02T00:00:00+00:00"),
        (date(2024, 1, 2), "2024-01-02"),
        (timedelta(minutes=1), 60.0),
        (Decimal("12.50"), "12.50"),
        (Decimal("NaN"), None),
        (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
        pytest.param({"b", "a"}, ["a", "b"], id="a set"),
        (np.bool_(True), True),
    ],
    ids=repr,
)
def test_kinds_of_values(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_an_answer_with_all_of_them() -> None:
    attributes = {"price": np.inf, "picture": [np.nan, 0.0], "sku": UUID(int=1), "cost": Decimal("1.5")}
    item = Recommendation(7, float("nan"), {"towers": 1}, (), attributes)
    answer = Answer(UUID(int=2), (item,), "v", (), {"total": 1.0})
    found = strictly(json.dumps(answer.to_dict(), allow_nan=False))
    assert found["items"][0]["score"] is None
    assert found["items"][0]["attributes"] == {
        "price": None, "picture": [None, 0.0], "sku": str(UUID(int=1)), "cost": "1.5",
    }  # fmt: skip
