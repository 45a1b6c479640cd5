"""Filters in words against a plain evaluation, item by item."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import Allow, packed, unpacked
from funnel.catalogue.tables import Catalogue
from funnel.catalogue.where import Filters, Where
from funnel.data import Vocabulary
from funnel.errors import ConfigError, DataError

CATEGORIES = ["shoes", "bags", "Größe", ""]
TAGS = ["new", "sale", "eco"]
N = 131  # two words of bits, and three more


def table(seed: int = 0) -> pd.DataFrame:
    """Every kind of column, with values missing in each that can lack them."""
    rng = np.random.default_rng(seed)

    def holes(values: list[Any]) -> list[Any]:
        return [None if hole else value for value, hole in zip(values, rng.random(N) < 0.1, strict=True)]

    return pd.DataFrame(
        {
            "category": holes(rng.choice(CATEGORIES, N).tolist()),
            "price": holes(rng.integers(0, 20, N).astype(float).tolist()),
            "stock": rng.integers(0, 5, N),
            "views": pd.array(holes(rng.integers(0, 9, N).tolist()), dtype="Int64"),
            "active": rng.random(N) < 0.5,
            "checked": holes((rng.random(N) < 0.5).tolist()),
            "tags": holes([rng.choice(TAGS, n, replace=False).tolist() for n in rng.integers(0, 4, N)]),
        }
    )


FRAME = table()
FILTERS = Filters.of(FRAME)


def slow(item: dict[str, Any], where: Where) -> bool:
    """One item, read as the words say."""
    return all(entry(item, key, wanted) for key, wanted in where.items())


def entry(item: dict[str, Any], key: str, wanted: Any) -> bool:
    if key == "and":
        return all(slow(item, part) for part in wanted)
    if key == "or":
        return any(slow(item, part) for part in wanted)
    if key == "not":
        return not slow(item, wanted)
    has = item[key] if isinstance(item[key], list) else [item[key]]
    has = [value for value in has if not pd.isna(value)]
    if isinstance(wanted, dict):
        signs = {"lt": "__lt__", "le": "__le__", "gt": "__gt__", "ge": "__ge__"}
        return any(
            all(getattr(float(value), signs[bound])(float(limit)) for bound, limit in wanted.items())
            for value in has
        )
    return any(value in (wanted if isinstance(wanted, list) else [wanted]) for value in has)


def one_or_more(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, max_size=3)


LIMITS = st.sampled_from([-1, 0, 2.5, 7, 19, 20, np.inf, -np.inf, 2**70])
BOUNDS = st.dictionaries(st.sampled_from(["lt", "le", "gt", "ge"]), LIMITS, min_size=1, max_size=3)
CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "category": one_or_more(st.sampled_from([*CATEGORIES, "hats"])),
        "price": one_or_more(st.integers(0, 20) | st.sampled_from([2.5, 7.0])) | BOUNDS,
        "stock": one_or_more(st.integers(-1, 6)) | BOUNDS,
        "views": one_or_more(st.integers(0, 9)) | BOUNDS,
        "active": one_or_more(st.booleans()),
        "checked": one_or_more(st.booleans()),
        "tags": one_or_more(st.sampled_from([*TAGS, "old"])),
    },
)
WHERES = st.recursive(
    CONDITIONS,
    lambda part: st.fixed_dictionaries(
        {}, optional={"and": st.lists(part, max_size=3), "or": st.lists(part, max_size=3), "not": part}
    ),
    max_leaves=6,
)


@settings(max_examples=100, deadline=None)
@given(where=WHERES)
def test_a_filter_passes_what_a_plain_definition_passes(where: Where) -> None:
    found = unpacked(FILTERS.compile(where), N)
    expected = [slow(item, where) for item in FRAME.astype(object).to_dict("records")]
    assert found.tolist() == expected
    assert np.bitwise_count(FILTERS.compile(where)).sum() == sum(expected)  # no bit behind the last item


@settings(max_examples=50, deadline=None)
@given(first=WHERES, second=WHERES)
def test_and_or_and_not_are_those_of_logic(first: Where, second: Where) -> None:
    one, two = FILTERS.compile(first), FILTERS.compile(second)
    np.testing.assert_array_equal(FILTERS.compile({"and": [first, second]}), one & two)
    np.testing.assert_array_equal(FILTERS.compile({"or": [first, second]}), one | two)
    neither = FILTERS.compile({"not": {"or": [first, second]}})
    np.testing.assert_array_equal(neither, FILTERS.compile({"and": [{"not": first}, {"not": second}]}))


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"colour": "red"}, r"filter on 'colour': no such item column; there are: category, price"),
        ({"price": {"under": 3}}, r"filter on 'price': unknown bound \['under'\]; use"),
        ({"price": {}}, "filter on 'price': no bound given"),
        ({"price": {"lt": "x"}}, "filter on 'price': bound 'lt' is 'x'; it must be a number"),
        ({"price": {"lt": None}}, "filter on 'price': bound 'lt' is None"),
        ({"price": {"lt": float("nan")}}, "filter on 'price': bound 'lt' is nan"),
        ({"price": {"lt": True}}, "filter on 'price': bound 'lt' is True"),
        ({"price": "3"}, "filter on 'price': '3' is a text; this column holds numbers"),
        ({"price": None}, "filter on 'price': None is no value to look for"),
        ({"price": [3, float("nan")]}, "filter on 'price': nan is no value to look for"),
        ({"category": {"lt": 3}}, "filter on 'category': bounds need a number column, this one holds texts"),
        ({"category": 3}, "filter on 'category': 3 is a number; this column holds texts"),
        ({"category": [["shoes"]]}, "filter on 'category': .* is no single value"),
        ({"active": 1}, "filter on 'active': 1 is a number; this column holds truth values"),
        ({"checked": "yes"}, "filter on 'checked': 'yes' is a text; this column holds truth values"),
        ({"tags": 1}, "filter on 'tags': 1 is a number; this column holds texts"),
        ({"or": {"price": 3}}, "'or' takes a list of filters"),
        ({"and": ["price"]}, "each part of 'and' must be like"),
        ({"not": [{"price": 3}]}, "'not' must be like"),
        ("price < 3", "a filter must be like"),
    ],
)  # fmt: skip
def test_a_filter_that_is_none_is_refused_by_name(where: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FILTERS.compile(where)


def test_large_whole_numbers_are_distinct() -> None:
    filters = Filters.of(pd.DataFrame({"id": [2**53, 2**53 + 1, 2**53 + 2]}))
    assert unpacked(filters.compile({"id": 2**53 + 1}), 3).tolist() == [False, True, False]
    assert unpacked(filters.compile({"id": {"gt": 2**53 + 1}}), 3).tolist() == [False, False, True]


def test_an_empty_catalogue_and_a_column_without_a_value() -> None:
    assert Filters.of(pd.DataFrame({"price": np.empty(0)})).compile({"price": 3}).shape == (0,)
    nothing = Filters.of(pd.DataFrame({"price": [None, None]}, dtype=object))
    assert not nothing.compile({"price": {"lt": 3}}).any()
    assert not nothing.compile({"price": "anything"}).any()


@pytest.mark.parametrize("wanted", [0.0, 0, [0.0, 1.0], {"ge": 0}, {"contains": 0.0}])
def test_nothing_is_filtered_by_a_vector_of_which_nothing_is_laid_out(tmp_path: Path, wanted: Any) -> None:
    looks = pd.DataFrame({"look": list(np.zeros((N, 64), dtype=np.float32)), "sizes": [[38, 42]] * N})
    Catalogue(Vocabulary(np.arange(N)), looks, {}).save(tmp_path / "items")
    assert sum(path.stat().st_size for path in (tmp_path / "items" / "filters").iterdir()) < 10 * 4 * N
    for filters in (Filters.of(looks), Catalogue.load(tmp_path / "items", {}).filters):
        with pytest.raises(ConfigError, match="filter on 'look': it holds vectors"):
            filters.compile({"look": wanted})
        assert unpacked(filters.compile({"sizes": 42}), N).all()


def test_a_saved_catalogue_filters_as_before(tmp_path: Path) -> None:
    catalogue = Catalogue(Vocabulary(np.arange(N)), FRAME, {})
    catalogue.save(tmp_path / "items")
    loaded = Catalogue.load(tmp_path / "items", {})
    wheres: list[Where] = [
        {"tags": "sale"}, {"not": {"checked": True}}, {"price": {"ge": 3}, "category": ["bags", "Größe"]}, {},
        {"views": 3}, {"views": {"gt": 4}}, {"active": True}, {"stock": {"lt": 3}},
    ]  # fmt: skip
    before, after = catalogue.allow(*wheres), loaded.allow(*wheres)
    assert len(after) == len(wheres)
    np.testing.assert_array_equal(before.masks(), after.masks())
    assert after.counts.tolist() == after.masks().sum(axis=1).tolist()


@settings(max_examples=50, deadline=None)
@given(n=st.integers(0, 200), batch=st.integers(0, 4), seed=st.integers(0, 2**32 - 1))
def test_allow_says_what_its_masks_say(n: int, batch: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    masks = rng.random((batch, n)) < rng.random()
    allow = Allow.of(masks)
    np.testing.assert_array_equal(allow.masks(), masks)
    np.testing.assert_array_equal(allow.counts, masks.sum(axis=1))
    if n and batch:
        requests, items = rng.integers(batch, size=30), rng.integers(n, size=30)
        np.testing.assert_array_equal(allow.holds(requests, items), masks[requests, items])
        np.testing.assert_array_equal(allow.take(requests).masks(), masks[requests])
        np.testing.assert_array_equal(Allow.of(masks[0], 3).masks(), masks[[0, 0, 0]])
    np.testing.assert_array_equal(unpacked(packed(masks), n), masks)


def test_allow_refuses_what_is_no_mask() -> None:
    with pytest.raises(DataError, match="int64 of shape"):
        Allow.of(np.ones((2, 3), dtype=np.int64))
    with pytest.raises(DataError, match=r"must be bool \[n_items\]"):
        Allow.of(np.ones((2, 3), dtype=bool), 2)


@pytest.mark.parametrize("old", [False, True])
def test_truth_values_and_numbers_in_writing_are_found_as_what_they_are(tmp_path: Path, old: bool) -> None:
    """A column that is declared as a category holds them in writing; earlier tables wrote otherwise."""
    texts = {"active": ["True", "False", "True"], "stars": ["3.0", "1.5", "3.0"]}
    if not old:
        texts = {"active": ["true", "false", "true"], "stars": ["3", "1.5", "3"]}
    frame = pd.DataFrame(
        {**texts, "flag": pd.array([True, None, False], "boolean"), "genre": ["a", "b", "c"]}
    )
    Filters.of(frame).save(tmp_path / "filters")
    for filters in (Filters.of(frame), Filters.load(tmp_path / "filters", len(frame))):

        def passing(where: Where, filters: Filters = filters) -> list[int]:
            return [row for row in range(3) if int(filters.compile(where)[0]) >> row & 1]

        for value in (True, "true", "True", np.True_):
            assert passing({"active": value}) == [0, 2]
            assert passing({"flag": value}) == [0]
        for three in (3, 3.0, "3", "3.0"):
            assert passing({"stars": three}) == [0, 2]
        assert passing({"stars": [1.5, 7]}) == [1]
        assert passing({"not": {"flag": True}}) == [1, 2]
        assert passing({"flag": [False, "true"]}) == [0, 2]
        for where in ({"genre": True}, {"genre": 3}, {"flag": "perhaps"}, {"flag": 1}):
            with pytest.raises(ConfigError, match="this column holds"):
                filters.compile(where)
