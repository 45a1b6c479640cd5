"""Filters within limits: what they ask apart from a catalogue, what they touch, and what is kept of them."""

from __future__ import annotations

import math
import multiprocessing
import operator
import threading
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from funnel.allow import unpacked
from funnel.catalogue.condition import Condition
from funnel.catalogue.filter_cache import FilterCache
from funnel.catalogue.stretches import below, equal
from funnel.catalogue.where import Filters
from funnel.errors import ConfigError

SIGNS = ["lt", "le", "gt", "ge"]


def passing(filters: Filters, where: Any, n: int) -> list[bool]:
    return unpacked(filters.compile(where), n).tolist()


def numbers(values: list[Any], dtype: Any = np.float64) -> Filters:
    return Filters.of(pd.DataFrame({"price": np.array(values, dtype=dtype)}))


def holds(value: float, bounds: dict[str, float]) -> bool:
    """Bounds, read by Python, which compares whole numbers and floats exactly."""
    signs = {"lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
    return all(signs[bound](value, limit) for bound, limit in bounds.items())


EDGES = [
    0,
    1,
    -1,
    0.5,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    -(2**63),
    2**70,
    10**400,
    -(10**400),
    1e300,
    1e-300,
]
LIMITS = st.sampled_from([*EDGES, math.inf, -math.inf]) | st.integers(-3, 3) | st.floats(-3, 3)
BOUNDS = st.dictionaries(st.sampled_from(SIGNS), LIMITS, min_size=1)
WHOLE = st.lists(st.sampled_from([-(2**63), -1, 0, 1, 2, 2**53, 2**53 + 1, 2**63 - 1]), max_size=8)
REAL = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 1.0, 2.0**53, 1e300, math.inf]), max_size=8)


@settings(max_examples=120, deadline=None)
@given(values=WHOLE | REAL, bounds=BOUNDS, wanted=st.lists(LIMITS, max_size=5))
def test_numbers_are_compared_exactly_whatever_their_size(
    values: list[Any], bounds: dict[str, float], wanted: list[float]
) -> None:
    dtype = np.float64 if any(isinstance(one, float) for one in values) else np.int64
    filters = numbers(values, dtype)
    assert passing(filters, {"price": bounds}, len(values)) == [holds(one, bounds) for one in values]
    assert passing(filters, {"price": wanted}, len(values)) == [
        any(one == w for w in wanted) for one in values
    ]


def test_stretches_of_unsigned_and_short_numbers() -> None:
    for dtype in (np.uint64, np.uint8, np.int16):
        rising = np.array([0, 3, 3, 200 if dtype != np.int16 else 30_000], dtype=dtype)
        starts, stops = equal(rising, [3, -1, 2**64, 3.5, 0.0])
        assert (starts.tolist(), stops.tolist()) == ([0, 1], [1, 3])
    short = np.array([0.1, 0.5], dtype=np.float32)
    assert [part.tolist() for part in equal(short, [0.1])] == [[0], [1]]
    assert below(short, Condition.within("", {"le": 1e300}).intervals[0].high) == 2


NUMBERS = st.integers(-2, 6)
PART = st.builds(lambda values: {"price": values}, st.lists(NUMBERS, max_size=4)) | st.builds(
    lambda bounds: {"price": bounds},
    st.dictionaries(st.sampled_from(SIGNS), NUMBERS, min_size=1),
)
NESTED = st.recursive(
    PART,
    lambda part: st.dictionaries(
        st.sampled_from(["and", "or"]), st.lists(part, min_size=1, max_size=5), min_size=1, max_size=1
    ),
)


def read_plainly(where: dict[str, Any], value: int) -> bool:
    ((key, wanted),) = where.items()
    if key in ("and", "or"):
        return (all if key == "and" else any)(read_plainly(part, value) for part in wanted)
    return holds(value, wanted) if isinstance(wanted, dict) else value in wanted


@settings(max_examples=120, deadline=None)
@given(where=NESTED)
def test_conditions_on_one_number_become_one_and_pass_the_same(where: dict[str, Any]) -> None:
    values = list(range(-3, 8))
    filters = numbers(values, np.int64)
    assert passing(filters, where, len(values)) == [read_plainly(where, one) for one in values]
    assert len(filters.cache) <= 1


def test_five_hundred_bounds_look_at_the_items_once(monkeypatch: pytest.MonkeyPatch) -> None:
    filters, touched = numbers(list(range(1_000))), []
    mask = Filters.mask

    def counted(self: Filters, condition: Condition) -> Any:
        found = mask(self, condition)
        touched.append(int(found.sum()))
        return found

    monkeypatch.setattr(Filters, "mask", counted)
    bounds = [{"price": {"lt": 500 + i, "ge": i - 250}} for i in range(500)]
    assert sum(passing(filters, {"and": bounds}, 1_000)) == 500 - 249
    assert sum(passing(filters, {"or": bounds}, 1_000)) == 999
    assert touched == [251, 999]


def test_a_list_of_values_takes_no_more_than_what_it_passes() -> None:
    n = 100_000
    filters = numbers(list(range(n)))
    assert sum(passing(filters, {"price": list(range(0, 2 * n, 2))}, n)) == n // 2
    texts = Filters.of(pd.DataFrame({"name": pd.Series([f"n{i}" for i in range(1_000)], dtype="str")}))
    assert sum(passing(texts, {"name": [f"n{i}" for i in range(0, 100_000, 2)]}, 1_000)) == 500


MIXED = pd.DataFrame({"price": [0.0, 1.0, 2.0], "flag": [True, False, True], "name": ["1", "True", "1.0"]})


@pytest.mark.parametrize("first", [[True, 1], [1, True], True, [True], 1, 1.0, ["1", 1]])
def test_no_filter_depends_on_those_before(first: Any) -> None:
    asked = [("price", 1), ("price", 1.0), ("price", [1]), ("flag", True), ("flag", [True]), ("name", "1")]
    fresh = [passing(Filters.of(MIXED), {name: wanted}, 3) for name, wanted in asked]
    filters = Filters.of(MIXED)
    for name in MIXED:
        for before in (first, {"or": [{name: first}]}, {"not": {name: first}}):
            try:
                filters.compile({name: before} if before is first else before)
            except ConfigError:
                continue
    assert [passing(filters, {name: wanted}, 3) for name, wanted in asked] == fresh
    assert fresh[:3] == [[False, True, False]] * 3


def test_a_truth_value_in_a_list_of_numbers_is_no_number() -> None:
    filters = Filters.of(MIXED)
    assert passing(filters, {"price": [True, 2]}, 3) == [False, False, True]
    assert passing(filters, {"flag": [1, False]}, 3) == [False, True, False]
    with pytest.raises(ConfigError, match="True is a truth value; this column holds numbers"):
        filters.compile({"price": True})


def nested(depth: int, key: str) -> Any:
    inner: Any = {"price": 1}
    return reduce(lambda part, _: {key: part} if key == "not" else {key: [part]}, range(depth), inner)


@pytest.mark.parametrize("key", ["not", "and", "or"])
def test_a_filter_is_nested_within_a_limit(key: str) -> None:
    filters = Filters.of(MIXED)
    filters.compile(nested(31, key))
    for depth in (32, 1_000, 50_000):
        with pytest.raises(ConfigError, match="nested more than 32 deep"):
            filters.compile(nested(depth, key))
    endless: dict[str, Any] = {}
    endless["not"] = endless
    with pytest.raises(ConfigError, match="nested more than 32 deep"):
        filters.compile(endless)


def test_a_filter_has_conditions_and_values_within_a_limit() -> None:
    filters = Filters.of(MIXED)
    filters.compile({"or": [{"price": i} for i in range(999)]})
    for many in ([{"price": 1}] * 1_000, [{}] * 1_000, [{"not": {}}] * 500):
        with pytest.raises(ConfigError, match="more than 1,000 conditions"):
            filters.compile({"or": many})
    twice: Any = {"price": 1}
    for _ in range(25):  # 2²⁵ conditions in 25 lists
        twice = {"and": [twice, twice]}
    with pytest.raises(ConfigError, match="more than 1,000 conditions"):
        filters.compile(twice)
    filters.compile({"price": list(range(100_000))})
    with pytest.raises(ConfigError, match="100,001 values are listed; 100,000 are left"):
        filters.compile({"price": list(range(100_001))})
    with pytest.raises(ConfigError, match="60,000 values are listed; 40,000 are left"):
        filters.compile({"or": [{"price": list(range(60_000))}] * 2})


class Strange:
    """Fails to describe itself, and is equal to nothing in a way of its own."""

    def __repr__(self) -> str:
        raise RuntimeError

    def __eq__(self, other: object) -> bool:
        raise RuntimeError

    __hash__ = None  # type: ignore[assignment]


ODD = [
    pd.NA, pd.NaT, np.datetime64("NaT"), np.array([1, 2]), np.array(1), pd.Series([1]), b"red", {1}, [1],
    (1,), object(), Strange(), {"a": 1}, 10**5_000, -(10**5_000), 1 + 2j, np.complex64(1), "\ud800",
    "\0", math.nan, None, frozenset({1}), range(3), (i for i in range(2)), print, Ellipsis, np.longdouble(1),
    pd.Timestamp(0),
]  # fmt: skip


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
def test_odd_values_are_answered_or_refused_wherever_they_are(value: Any) -> None:
    filters = Filters.of(MIXED.assign(tags=[["a"], [], ["b", "c"]], empty=None))
    wheres: list[Any] = [value, {"and": value}, {"or": [value]}, {"not": value}]
    for name in ("price", "flag", "name", "tags", "empty"):
        wheres += [{name: value}, {name: [value]}, {name: [1, "a", True, value]}, {name: (value,)}]
        wheres += [{name: {bound: value}} for bound in SIGNS] + [{name: {"lt": 1, "over": value}}]
    refused = []
    for where in wheres:
        try:
            assert filters.compile(where).shape == (1,)
        except ConfigError as error:
            refused.append(str(error))
    assert refused
    assert max(map(len, refused)) < 400


@pytest.mark.parametrize("key", [("price",), None, 1, b"price", "\ud800", "prices"])
def test_what_is_no_column_is_refused(key: Any) -> None:
    with pytest.raises(ConfigError, match=r"no name of a column|no such item column"):
        Filters.of(MIXED).compile({key: 1})


def test_what_is_kept_of_filters_stays_within_its_bytes_keys_included() -> None:
    cache = FilterCache(10_000_000)
    bits = np.zeros(1_000, dtype=np.uint64)
    rng = np.random.default_rng(0)
    for _ in range(200):
        values = [("number", one) for one in rng.random(2_000).tolist()]
        cache.put(Condition.one_of("price", values), bits)
        assert cache.nbytes <= 10_000_000
    kept = cache.conditions()
    assert 10 < len(kept) < 100
    assert cache.nbytes == sum(one.nbytes + bits.nbytes for one in kept)
    long = Condition.one_of("price", [("number", float(one)) for one in range(100_000)])
    cache.put(long, bits)
    assert cache.get(long) is None  # too long to be kept
    assert cache.conditions() == kept


def test_what_was_used_last_is_kept_longest_and_can_be_replaced() -> None:
    one, two, three = (Condition.one_of("price", [("number", i)]) for i in range(3))
    bits = np.zeros(1_000, dtype=np.uint64)
    cache = FilterCache(2 * (bits.nbytes + one.nbytes))
    cache.put(one, bits)
    cache.put(two, bits)
    cache.put(one, bits + np.uint64(1))
    cache.get(two)
    cache.put(three, bits)
    assert cache.conditions() == [two, three]
    cache.put(two, bits + np.uint64(1))
    found = cache.get(two)
    assert found is not None
    assert found.bits[0] == 1
    assert cache.nbytes == 2 * (bits.nbytes + one.nbytes)


def test_threads_share_what_is_kept() -> None:
    filters = numbers(list(range(500)))
    filters.cache.most_bytes = 20_000
    wrong: list[int] = []

    def ask(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for limit in rng.integers(0, 500, size=300).tolist():
            if sum(passing(filters, {"price": {"lt": limit}}, 500)) != limit:
                wrong.append(limit)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert filters.cache.nbytes <= 20_000


def _asks(cache: FilterCache, results: Any) -> None:
    results.put((len(cache), cache.get(Condition.one_of("price", [("number", 1)]))))


def test_a_fork_in_the_middle_of_a_change_does_not_wait_for_ever() -> None:
    cache, fork = FilterCache(), multiprocessing.get_context("fork")
    cache.put(Condition.one_of("price", [("number", 1)]), np.zeros(1, dtype=np.uint64))
    with cache._kept.get().lock:
        results = fork.Queue()
        child = fork.Process(target=_asks, args=(cache, results))
        child.start()
    child.join(60)
    if child.is_alive():
        child.kill()
    assert child.exitcode == 0
    assert results.get() == (0, None)
