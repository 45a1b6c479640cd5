"""Half a character is refused where something comes in, and mended where something goes out."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from funnel.data import Column, Dataset, Schema
from funnel.errors import DataError
from funnel.values.text import mended, whole

TORN = json.loads('"sale \\ud83d"')
ANY = st.text(st.characters(codec=None))


@given(ANY)
def test_refused_exactly_when_it_cannot_be_written(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        with pytest.raises(DataError, match=f"position {error.start}"):
            whole(text, "title")
    else:
        assert whole(text, "title") == text


@given(ANY)
def test_mended_text_can_be_written_and_whole_text_stays(text: str) -> None:
    mended(text).encode()
    halves = [one for one in text if 0xD800 <= ord(one) <= 0xDFFF]
    assert (mended(text) == text) == (not halves)


def test_it_is_found_within_lists() -> None:
    for value in ([TORN], ("a", [TORN]), {TORN}):
        with pytest.raises(DataError, match=r"items\.tags"):
            whole(value, "items.tags")


@pytest.mark.parametrize("place", ["title", "tags", "item_id", "user_id"])
def test_a_table_names_its_column(place: str) -> None:
    tables = {
        "items": pd.DataFrame({"item_id": [1], "title": ["a"], "tags": [["a"]]}).astype(object),
        "events": pd.DataFrame({"user_id": [1], "item_id": [1], "time": [1]}).astype(object),
    }
    table = tables["events" if place == "user_id" else "items"]
    table[place] = pd.Series([[TORN] if place == "tags" else TORN], dtype=object)
    schema = Schema(items=(Column(name="title", kind="text"), Column(name="tags", kind="multi_category")))
    with pytest.raises(DataError, match=f"{place}.*half (a|of a) character"):
        Dataset.from_frames(schema, tables["events"], items=tables["items"])
