"""What a caller may pass: each wrong argument is refused by name, before work, and never read as another."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from funnel import Live
from funnel.catalogue.tables import Catalogue
from funnel.data import Vocabulary
from funnel.errors import DataError, FunnelError
from funnel.features import Spec
from funnel.serving import arguments
from funnel.serving.response import Answer
from tests.tiny import TinyBuild


@pytest.fixture(scope="module")
def live(built: TinyBuild) -> Iterator[Live]:
    one = Live(built.indexes)
    yield one
    one.close()


def ids(answer: Answer) -> list[Any]:
    return [item.item_id for item in answer.items]


NO_LISTS = [
    "123", "", b"123", bytearray(b"1"), 125, 1.5, math.nan, True, {"item_id": 125}, {}, object(), 10**5_000,
    np.int64(3), np.array(3), np.array([[1, 2]]), pd.DataFrame({"item_id": [125]}), pd.NA, Decimal(1),
]  # fmt: skip


@pytest.mark.parametrize("value", NO_LISTS, ids=lambda value: type(value).__name__)
def test_what_is_no_list_of_ids_is_refused_by_name(live: Live, value: Any) -> None:
    for name in ("history", "exclude"):
        with pytest.raises(FunnelError, match=f"{name} is .* a list of item ids is expected"):
            live.recommend(7, 3, **{name: value})
    with pytest.raises(FunnelError, match="history is"):
        live.explain(7, 1, history=value)
    with pytest.raises(FunnelError, match=r"user_ids is .* a list of user ids is expected"):
        live.recommend_many(value)
    with pytest.raises(FunnelError, match="user_ids is None"):
        live.recommend_many(None)  # type: ignore[arg-type]


LISTS: list[Callable[[list[int]], Any]] = [
    list, tuple, iter, np.array, pd.Index, lambda given: (one for one in given),
    lambda given: map(str, given), lambda given: pd.Series(given, index=range(5, 5 + len(given))),
    lambda given: np.array(given, dtype=object), lambda given: dict.fromkeys(given).keys(),
]  # fmt: skip


@pytest.mark.parametrize("form", LISTS)
def test_a_list_is_a_list_in_any_form(live: Live, form: Callable[[list[int]], Any]) -> None:
    given = live.history(3)
    assert ids(live.recommend(7, history=form(given))) == ids(live.recommend(7, history=given))
    first = ids(live.recommend(7))[:4]
    assert ids(live.recommend(7, exclude=form(first))) == ids(live.recommend(7, exclude=first))
    assert [ids(one) for one in live.recommend_many(form([7, 3]))] == [ids(live.recommend(u)) for u in (7, 3)]


def test_an_endless_list_is_refused(live: Live) -> None:
    endless = iter(int, 1)
    with pytest.raises(FunnelError, match="history holds more than 100,000 ids"):
        live.recommend(7, history=endless)
    with pytest.raises(FunnelError, match="user_ids holds more than 100,000 ids"):
        live.recommend_many(endless)


def test_nothing_given_is_as_if_nothing_was_said(live: Live) -> None:
    plain = ids(live.recommend(7))
    assert ids(live.recommend(7, exclude=None)) == plain
    assert ids(live.recommend(7, user=None, history=None, where=None, time=None, deadline=None)) == plain
    assert ids(live.recommend(7, where={}, user={}, exclude=[])) == plain


@pytest.mark.parametrize(
    "where", [[], 0, "", False, (), 0.0, set(), "genres", [{}], pd.NA, b"", np.array([])], ids=repr
)
def test_what_is_no_filter_is_refused(live: Live, where: Any) -> None:
    with pytest.raises(FunnelError, match="filter"):
        live.recommend(7, 3, where=where)
    for users in ([7], []):
        with pytest.raises(FunnelError, match="filter"):
            live.recommend_many(users, 3, where=where)


TIMES = [
    10**30, 10**5_000, -(10**400), 2**63, 1_700_000_000_000, 1_700_000_000_000_000, 1.7e18, math.nan,
    math.inf, "now", True, [], {}, b"1", datetime.now(UTC), pd.Timestamp(0), pd.NaT, pd.NA,
    np.datetime64(0, "s"), np.array([1]), 1j,
]  # fmt: skip


@pytest.mark.parametrize("time", TIMES, ids=lambda value: f"{type(value).__name__}")
def test_a_time_that_is_none_in_seconds_is_refused(live: Live, time: Any) -> None:
    for call in (
        lambda: live.recommend(7, 3, time=time),
        lambda: live.recommend_many([7], 3, time=time),
        lambda: live.recommend_many([], 3, time=time),
        lambda: live.explain(7, ids(live.recommend(7))[0], time=time),
    ):
        with pytest.raises(FunnelError, match="time is"):
            call()


def test_milliseconds_are_named(live: Live) -> None:
    with pytest.raises(FunnelError, match=r"milliseconds \(2023-11-14\).*divide by 1,000"):
        live.recommend(7, time=1_700_000_000_000)


@pytest.mark.parametrize(
    "deadline", [math.nan, "5", None, True, [], 1j, pd.NA, np.float32("nan"), b"5"], ids=repr
)
def test_a_deadline_is_a_number(live: Live, deadline: Any) -> None:
    if deadline is None:
        assert live.recommend(7, deadline=None).reasons == ()
        return
    with pytest.raises(FunnelError, match="deadline is"):
        live.recommend(7, deadline=deadline)


def test_a_deadline_may_be_any_number(live: Live) -> None:
    for long in (math.inf, 10**400, 10**5_000, np.float32(1e9), np.int16(30_000)):
        assert live.recommend(7, deadline=long).reasons == ()
    for short in (-math.inf, -(10**400), -1, 0):
        assert any(code.startswith("skipped:") for code in live.recommend(7, deadline=short).reasons)


NO_IDS = [
    10**5_000, b"7", True, math.nan, math.inf, -math.inf, "", [7], {7: 7}, {7}, (7,), np.array([7]), pd.NA,
    np.array(7), pd.NaT, np.float32("nan"), "9" * 5_000, "\ud800", np.bool_(True), Decimal("NaN"),
]  # fmt: skip
STRANGERS = [2**63, 2**64, -(2**70), 7.5, "7\0", "007", object(), 7j, UUID(int=7)]


@pytest.mark.parametrize("user", NO_IDS, ids=lambda value: type(value).__name__)
def test_what_is_no_id_of_a_user_is_refused_as_it_is_in_events(live: Live, user: Any) -> None:
    for call in (
        lambda: live.recommend(user, 3),
        lambda: live.recommend_many([7, user], 3),
        lambda: live.rank(user, [1, 2]),
        lambda: live.similar(1, 3, user_id=user),
        lambda: live.explain(user, 1),
        lambda: live.history(user),
    ):
        with pytest.raises(DataError, match=r"^user id .* is none"):
            call()
    with pytest.raises(DataError, match="a user id and an item id are expected"):
        live.observe((user, 1))


@pytest.mark.parametrize("user", STRANGERS, ids=lambda value: type(value).__name__)
def test_an_id_that_the_data_cannot_have_is_of_an_unknown_user(live: Live, user: Any) -> None:
    answer = live.recommend(user, 3)
    assert answer.reasons == ("unknown_user", "empty_history")
    assert ids(answer) == ids(live.recommend("nobody", 3))
    assert live.history(user) == []
    (many,) = live.recommend_many([user], 3)
    assert (many.items, many.reasons) == (answer.items, answer.reasons)
    assert many.user_id is user


@pytest.mark.parametrize("user", [7, "7", 7.0, "7.0", np.int32(7), np.float32(7), Decimal(7), Decimal("7.0")])
def test_an_id_is_the_same_in_any_type(live: Live, user: Any) -> None:
    assert live.history(user) == live.history(7)
    assert ids(live.recommend(user, 3)) == ids(live.recommend(7, 3))
    assert ids(live.recommend(1, 3, exclude=[user])) == ids(live.recommend(1, 3, exclude=[7]))


@pytest.mark.parametrize("item", [*NO_IDS, *STRANGERS], ids=lambda value: type(value).__name__)
def test_what_is_no_id_of_an_item_is_an_unknown_item(live: Live, item: Any) -> None:
    with pytest.raises(FunnelError, match="not in the catalogue"):
        live.explain(7, item)
    known = live.history(7)
    assert live.recommend(7, 3, history=[*known, item]).reasons == ("unknown_items_in_history",)
    assert ids(live.recommend(7, 3, exclude=[item])) == ids(live.recommend(7, 3))


def test_ids_beyond_64_bits_do_not_round_those_beside_them(live: Live) -> None:
    mixed = [7, -1, 2**63, 2**70]
    assert [one.reasons[:1] for one in live.recommend_many(mixed, 3)] == [(), *[("unknown_user",)] * 3]


@pytest.mark.parametrize("k", [10**5_000, 10**6, 2**63, np.int32(500)], ids=lambda k: f"{type(k).__name__}")
def test_any_k_gives_as_many_as_there_are(live: Live, k: Any) -> None:
    n = 200 - len(set(live.history(7)))
    assert len(live.recommend(7, k).items) == n
    assert len(live.recommend_many([7], k)[0].items) == n


@pytest.mark.parametrize(
    "k", [0, -(10**5_000), True, None, "3", 3.0, [], np.bool_(True), pd.NA], ids=lambda k: type(k).__name__
)
def test_what_is_no_k_is_refused(live: Live, k: Any) -> None:
    for call in (lambda: live.recommend(7, k), lambda: live.recommend_many([7], k)):
        with pytest.raises(FunnelError, match=r"k is .* whole number of at least 1"):
            call()


def test_many_ks_keep_few_funnels_and_learn_of_the_same_stages(built: TinyBuild) -> None:
    live = Live(built.indexes)
    for k in [*range(1, 200), *range(1, 200)]:
        live.recommend(7, k)
    loaded = live.served()
    assert len(loaded.funnels) <= 32
    assert loaded.funnel(3) is loaded.funnel(3)
    assert loaded.funnel(10**6) is loaded.funnel(10**7)
    assert len({id(funnel._durations) for funnel in loaded.funnels.values()}) == 1
    fresh = loaded.following(loaded)
    assert fresh.durations is loaded.durations
    assert fresh.funnel(3)._durations is loaded.durations
    live.close()


SPECS = {
    "country": Spec("category", 3, 1), "age": Spec("number", 2, 2), "likes": Spec("multi_category", 9, 4),
    "face": Spec("vector", 2, 2),
}  # fmt: skip


@pytest.mark.parametrize(
    "user", ["DE", 3, [("country", "DE")], [], 0, False, (), b"", pd.Series({"country": "DE"})], ids=repr
)
def test_a_users_columns_are_a_mapping(live: Live, user: Any) -> None:
    with pytest.raises(FunnelError, match=r"user is .* columns by name are expected"):
        live.recommend(7, 3, user=user)
    with pytest.raises(FunnelError, match="user is"):
        live.explain(7, live.recommend(7).items[0].item_id, user=user)


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (
            {"size": 3, 4: 4, None: 1},
            r"user columns \['4', 'None', 'size'\] are unknown; there are: country, age",
        ),
        ({"age": "old"}, "user column 'age' is 'old'; a number is expected"),
        ({"age": [3]}, "user column 'age' is"),
        ({"age": True}, "user column 'age' is True"),
        ({"age": 10**400}, "user column 'age' is"),
        ({"country": ["DE"]}, "user column 'country' is .* one text or number is expected"),
        ({"country": b"DE"}, "user column 'country' is"),
        ({"country": 10**5_000}, "user column 'country' is"),
        ({"country": {"a": 1}}, "user column 'country' is"),
        ({"likes": [["a"]]}, "user column 'likes' is"),
        ({"likes": np.array([["a"]])}, "user column 'likes' is"),
        ({"likes": ["a"] * 100_001}, "user column 'likes' lists more than 100,000"),
        ({"face": [1, 2, 3]}, "user column 'face' is .* a list of 2 numbers is expected"),
        ({"face": [1, "x"]}, "user column 'face' is"),
        ({"face": "12"}, "user column 'face' is"),
        ({"face": [[1, 2]]}, "user column 'face' is"),
    ],
)
def test_a_users_column_holds_what_its_kind_can(user: Any, message: str) -> None:
    with pytest.raises(FunnelError, match=message):
        arguments.user_columns(user, SPECS)


def test_a_users_columns_as_they_are_read() -> None:
    given = {"country": np.str_("DE"), "age": "3.5", "likes": ("a", None, 3), "face": [1, 2]}
    read = arguments.user_columns(given, SPECS)
    assert read.pop("face").tolist() == [1, 2]
    assert read == {"country": "DE", "age": 3.5, "likes": ["a", 3]}
    missing = arguments.user_columns(dict.fromkeys(SPECS, pd.NA) | {"age": math.nan}, SPECS)
    assert missing == dict.fromkeys(SPECS)
    with pytest.raises(DataError):
        arguments.user_columns({"age": object()}, SPECS)


SCALARS = (
    st.none() | st.booleans() | st.integers() | st.integers(0, 210) | st.floats() | st.text(max_size=8)
    | st.sampled_from([10**400, "\ud800", b"1", pd.NA, pd.NaT, 1j, np.int64(3), np.float32("inf")])
    | st.builds(pow, st.just(10), st.just(5_000))  # too long for Python to write
)  # fmt: skip
NAMES = st.sampled_from(["genres", "year", "title", "and", "or", "not", "lt", "ge"]) | st.text(max_size=4)
VALUES = st.recursive(
    SCALARS,
    lambda part: st.lists(part, max_size=4) | st.dictionaries(NAMES, part, max_size=3) | st.tuples(part),
)


def answered(call: Callable[[], Any]) -> Any:
    """What a call gives, None where it is refused; any other error fails the test."""
    try:
        return call()
    except FunnelError as error:
        assert 0 < len(str(error)) < 1_000  # noqa: PT017  # the message is read, the error is right
        return None


ARGUMENTS = ["user_id", "k", "history", "user", "where", "exclude", "time", "deadline"]


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(given=st.dictionaries(st.sampled_from(ARGUMENTS), VALUES, max_size=3))
def test_whatever_is_passed_is_answered_or_refused(live: Live, given: dict[str, Any]) -> None:
    answer = answered(lambda: live.recommend(**({"user_id": 7} | given)))
    assert answer is None or isinstance(answer, Answer)
    if answer is not None and "user_id" not in given:
        json.dumps(answer.to_dict(), allow_nan=False)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(users=VALUES, item=VALUES, given=st.dictionaries(st.sampled_from(["k", "where", "time"]), VALUES))
def test_whatever_is_passed_to_the_other_doors_is_answered_or_refused(
    live: Live, users: Any, item: Any, given: dict[str, Any]
) -> None:
    many = answered(lambda: live.recommend_many(users, **given))
    assert many is None or len(many) == len(users)
    explained = answered(lambda: live.explain(users, item, time=given.get("time"), history=given.get("k")))
    assert explained is None or all(map(math.isfinite, explained.values()))
    history = answered(lambda: live.history(users))
    assert history is None or isinstance(history, list)


def test_an_answer_brings_the_columns_that_were_asked_for(live: Live) -> None:
    everything = live.recommend(7, 5)
    assert set(everything.items[0].attributes) == set(live.contents.catalogue.names)
    for names in (["year", "title"], iter(["year", "title"]), ("year", "title", "year")):
        answer = live.recommend(7, 5, attributes=names)
        assert ids(answer) == ids(everything)
        for item, whole in zip(answer.items, everything.items, strict=True):
            assert item.attributes == {name: whole.attributes[name] for name in ("year", "title")}
    assert [dict(item.attributes) for item in live.recommend(7, 5, attributes=[]).items] == [{}] * 5


def test_columns_that_an_answer_cannot_bring_are_named(live: Live) -> None:
    with pytest.raises(FunnelError, match=r"attributes \['colour'\] are unknown; there are: .*title"):
        live.recommend(7, 5, attributes=["title", "colour"])
    for value in ("title", b"title", 3, {"title": True}):
        with pytest.raises(FunnelError, match=r"attributes is .* a list of names of item columns"):
            live.recommend(7, 5, attributes=value)  # type: ignore[arg-type]
    with pytest.raises(FunnelError, match="unknown"):
        live.recommend(7, 5, attributes=[3])  # type: ignore[list-item]


def test_vectors_are_brought_only_where_they_are_named() -> None:
    items = pd.DataFrame({"title": ["a", "b"], "look": [[0.0, 1.0], [1.0, 0.0]]})
    specs = {"title": Spec("category", 3, 1), "look": Spec("vector", 2, 2)}
    catalogue = Catalogue(Vocabulary.of([1, 2]), items, {}, SimpleNamespace(specs=specs))  # type: ignore[arg-type]
    assert catalogue.records(np.array([1])) == [{"title": "b"}]
    assert catalogue.records(np.array([0]), ["look"]) == [{"look": [0.0, 1.0]}]


def test_a_kind_in_a_history_of_a_bundle_without_kinds_is_refused(live: Live) -> None:
    assert ids(live.recommend(7, history=[(5, None), 9])) == ids(live.recommend(7, history=[5, 9]))
    with pytest.raises(FunnelError, match="the kind of event is 'click'; the bundle's"):
        live.recommend(7, history=[(5, "click")])
