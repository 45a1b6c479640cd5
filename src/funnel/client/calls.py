"""What each method asks of the service: one value, which the blocking and the asynchronous client send."""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from urllib.parse import quote

from funnel.client.answers import answer, answers, contributions, erased
from funnel.client.sent import argument, columns, columns_of_each, event, filtered, frame, is_given, known
from funnel.errors import DataError
from funnel.serving.erased import Erased
from funnel.serving.response import Answer
from funnel.values.arguments import (
    MOST_RANKED,
    columns_by_name,
    item_columns,
    item_count,
    milliseconds,
    moment,
    reranked,
)
from funnel.values.arguments import ids as list_of_ids
from funnel.values.events import LONGEST, worth
from funnel.values.ids import written
from funnel.values.plain import plain
from funnel.values.shown import shown

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")


@dataclass(frozen=True)
class Call(Generic[T]):
    """One request. read: makes the method's value of what came back. repeatable: whether to have done it
    twice is to have done it once, so that it may be sent again when nobody knows what became of it. or_none:
    whether what the service does not have is None."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    or_none: bool = False


def recommend(user_id: Any, k: Any, **others: Any) -> Call[Answer]:
    """See `Live.recommend`."""
    body = {"user_id": plain(user_id), "k": item_count(k), **_of_request(others)}
    return Call("POST", "/v1/recommend", lambda raw: answer(raw, user_id), body)


def recommend_many(user_ids: Iterable[Any], k: Any, **others: Any) -> Call[list[Answer]]:
    """See `Live.recommend_many`."""
    count, users = item_count(k), list_of_ids(user_ids, "user_ids")
    body = {"user_ids": plain(users), "k": count, **_of_request(others)}
    return Call("POST", "/v1/recommend/many", lambda raw: answers(raw, users), body)


def rank(user_id: Any, items: Iterable[Any], *, rerank: Any, **others: Any) -> Call[Answer]:
    """See `Live.rank`."""
    listed = list_of_ids(items, "items", MOST_RANKED)
    reranked(rerank, 0)  # how many of them are in the catalogue, the service knows
    body = {"user_id": plain(user_id), "items": plain(listed), "rerank": plain(rerank)}
    return Call("POST", "/v1/rank", lambda raw: answer(raw, user_id), {**body, **_of_request(others)})


def similar(item_id: Any, k: Any, user_id: Any, **others: Any) -> Call[Answer]:
    """See `Live.similar`."""
    body = {"item_id": plain(item_id), "k": item_count(k), "user_id": plain(user_id), **_of_request(others)}
    return Call("POST", "/v1/similar", lambda raw: answer(raw, user_id), body)


def explain(user_id: Any, item_id: Any, **others: Any) -> Call[dict[str, float]]:
    """See `Live.explain`."""
    body = {"user_id": plain(user_id), "item_id": plain(item_id), **_of_request(others)}
    return Call("POST", "/v1/explain", contributions, body)


def observe(events: Sequence[Any], kind: Any, value: Any, key: str | None) -> Call[None]:
    """See `Live.observe`. The key makes it one observation however often it is sent; default a new one."""
    listed = [event(given, number) for number, given in enumerate(events)]
    body = {"events": listed, "kind": plain(kind), "value": worth(value, "")}
    headers = {"Idempotency-Key": uuid.uuid4().hex if key is None else header(key)}
    return Call("POST", "/v1/events", _nothing, body, headers=headers)


def upsert(items: pd.DataFrame) -> Call[None]:
    """See `LiveItems.upsert`. Not repeated: meanwhile another may have written the same item."""
    return Call("PUT", "/v1/items", _nothing, {"items": frame(items)}, repeatable=False)


def patch(ids: Iterable[Any], values: Mapping[str, Any]) -> Call[list[Any]]:
    """See `LiveItems.patch`."""
    given = list_of_ids(ids, "ids")
    body = {"patches": columns(given, values)}
    return Call(
        "PATCH", "/v1/items", lambda raw: _missing(raw, given, map(str, plain(given))), body, repeatable=False
    )


def patch_each(changes: Mapping[Any, Mapping[str, Any]]) -> Call[list[Any]]:
    """See `LiveItems.patch_each`."""
    body = {"patches": columns_of_each(changes)}
    given = dict(zip(body["patches"], changes, strict=True))
    return Call(
        "PATCH", "/v1/items", lambda raw: [given[name] for name in raw["missing"]], body, repeatable=False
    )


def delete(ids: Iterable[Any]) -> Call[list[Any]]:
    """See `LiveItems.delete`."""
    given = list_of_ids(ids, "ids")
    body = {"item_ids": plain(given)}
    return Call("DELETE", "/v1/items", lambda raw: _missing(raw, given, plain(given)), body, repeatable=False)


def item(item_id: Any) -> Call[dict[str, Any] | None]:
    """See `LiveItems.get`."""
    path = f"/v1/items/{named(item_id)}"
    return Call("GET", path, lambda raw: dict(raw["attributes"]), or_none=True)


def user(user_id: Any) -> Call[dict[str, Any]]:
    """See `LiveUsers.known`."""
    return Call("GET", f"/v1/users/{named(user_id)}", dict)


def history(user_id: Any) -> Call[list[Any]]:
    """See `Live.history`."""
    return Call("GET", f"/v1/users/{named(user_id)}/history", lambda raw: list(raw["history"]))


def forget(user_id: Any) -> Call[Erased]:
    """See `LiveUsers.forget`. Not repeated: a second time would say that there was nothing."""
    return Call("DELETE", f"/v1/users/{named(user_id)}", erased, repeatable=False)


def health() -> Call[dict[str, Any]]:
    """See `Live.health`."""
    return Call("GET", "/health", dict)


def bundles() -> Call[dict[str, Any]]:
    """The bundles of the store."""
    return Call("GET", "/v1/bundles", dict)


def publish(version: str) -> Call[dict[str, Any]]:
    """Judge a bundle and serve it."""
    return Call("POST", f"/v1/bundles/{named(version)}/publish", dict, {}, repeatable=False)


def rollback(force: bool = False) -> Call[dict[str, Any]]:
    """Serve what was published before."""
    body = {"force": True} if force else {}
    return Call("POST", "/v1/bundles/rollback", dict, body, repeatable=False)


def named(value: Any) -> str:
    """An id as a part of a path. Raises: DataError for what is none."""
    text = written(value)
    if text is None or len(text) > LONGEST:
        raise DataError(
            f"id is {shown(value)}; a whole number or a text of 1 to {LONGEST:,} characters is expected"
        )
    part = quote(text, safe="")
    return part.replace(".", "%2E") if text in (".", "..") else part  # these lead to other paths


def header(key: Any) -> str:
    """A key of events. Raises: DataError for what no header can be."""
    if not isinstance(key, str) or not key.isascii() or not key.isprintable() or not 1 <= len(key) <= 255:
        raise DataError(f"key is {shown(key)}; 1 to 255 printable characters of ASCII are expected")
    return key


def _of_request(others: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that may be left out, without those that were, checked as `Live` checks them."""
    kept = {name: value for name, value in others.items() if is_given(value)}
    for name, check in _CHECKS.items():
        if name in kept:
            kept[name] = check(kept[name])
    return {name: None if value is None else argument(value, name) for name, value in kept.items()}


def _deadline(value: Any) -> float | None:
    """One without end is none; one that is over whatever comes is as far away as JSON's numbers go."""
    number = milliseconds(value)
    return None if number == math.inf else max(number, -sys.float_info.max)


#: What can be told without a bundle is told before anything is sent.
_CHECKS: dict[str, Callable[[Any], Any]] = {
    "history": lambda value: list_of_ids(value, "history"),
    "exclude": lambda value: list_of_ids(value, "exclude"),
    "where": filtered,
    "user": lambda value: known(columns_by_name(value, "user", '{"country": "DE"}'), "user"),
    "context": lambda value: known(value, "context"),
    "attributes": item_columns,
    "time": moment,
    "deadline": _deadline,
}


def _nothing(raw: Any) -> None:
    dict(raw)


def _missing(raw: Any, given: list[Any], sent: Iterable[Any]) -> list[Any]:
    """The ids that were not there, as the caller gave them. sent: what was sent for each, such
    as 7.0, which JSON has as 7."""
    missing = set(raw["missing"])
    return [item for item, name in zip(given, sent, strict=True) if name in missing]
