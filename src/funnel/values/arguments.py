"""Arguments of requests that need no bundle to be checked: each function returns one in one form."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Mapping, Set
from itertools import islice
from numbers import Real
from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import ConfigError, DataError, FunnelError
from funnel.values.shown import shown
from funnel.values.times import seconds

#: At most so many ids are taken in one argument, and so many items are in an answer.
MOST_IDS, MOST_ITEMS = 100_000, 1_000_000

#: Seconds that anything is waited for at most.
YEAR = 366 * 86_400

#: At most so many items are ranked in one call, and re-ranked, whose cost goes by the square of it.
MOST_RANKED, MOST_RERANKED = 10_000, 1_000


def item_count(k: Any) -> int:
    """How many items are asked for. Raises: FunnelError unless it is a whole number of at least 1."""
    return whole(k, "k", 1)


def whole(value: Any, what: str, least: int) -> int:
    """A number of things. Raises: FunnelError unless it is a whole number of at least `least`."""
    try:
        number = least - 1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        number = least - 1
    if number < least:
        raise FunnelError(f"{what} is {shown(value)}; it must be a whole number of at least {least}")
    return number


def milliseconds(deadline: Any) -> float:
    """A deadline as a number. Raises: FunnelError unless it is a number; infinite is one."""
    try:
        number = math.nan if isinstance(deadline, bool) or not isinstance(deadline, Real) else float(deadline)
    except OverflowError:
        number = math.inf if deadline > 0 else -math.inf
    if math.isnan(number):
        raise FunnelError(f"deadline is {shown(deadline)}; it must be a number of milliseconds")
    return number


def period(value: Any, what: str) -> float:
    """A length of time in seconds. Raises: ConfigError unless it is a number above 0, of a year at most."""
    usual = isinstance(value, Real) and not isinstance(value, bool)
    if not usual or not 0 < value <= YEAR:  # NaN is neither
        raise ConfigError(
            f"{what} is {shown(value)}; it must be a number of seconds above 0, at most {YEAR:,} (a year)"
        )
    return float(value)


def moment(time: Any) -> int | None:
    """The time of a request in whole seconds, None where it is not given. Raises: see `seconds`."""
    return None if time is None else seconds(time, "time")


def reranked(value: Any, items: int) -> int | None:
    """To how many items a list is re-ranked: all of them, None where it is not.

    Raises: FunnelError unless it is a truth value, or for more than 1,000 items.
    """
    if not isinstance(value, bool | np.bool_):
        raise FunnelError(f"rerank is {shown(value)}; it must be True or False")
    if value and items > MOST_RERANKED:
        raise FunnelError(f"{items:,} items are to be re-ranked; at most {MOST_RERANKED:,} are")
    return max(items, 1) if value else None


def ids(values: Any, what: str, most: int = MOST_IDS) -> list[Any]:
    """Ids in their order, whatever each is: from a list, an array, a Series, a generator.

    what: the argument's name. most: how many are taken. Raises: FunnelError for a text, a number, a mapping,
    a table, or more ids than that.
    """
    flat = not isinstance(values, np.ndarray) or values.ndim == 1
    wrong = isinstance(values, str | bytes | bytearray | memoryview | Mapping | pd.DataFrame)
    if wrong or not flat or not isinstance(values, Iterable):
        raise FunnelError(f"{what} is {shown(values)}; a list of {_of(what)} ids is expected")
    listed = list(islice(values, most + 1))
    if len(listed) > most:
        raise FunnelError(f"{what} holds more than {most:,} ids; at most that many are taken")
    return listed


def one_each(given: Any, n: int, what: str) -> list[Any]:
    """Values in the order of n ids: one for all of them, or a list of one for each.

    Raises: DataError for another number, and for what has no order that is the ids': a mapping, a set.
    """
    if isinstance(given, Mapping | Set | pd.DataFrame):
        raise DataError(f"{what} is {shown(given)}: one value is expected, or a list of one for each id")
    texts, flat = str | bytes | bytearray | memoryview, not isinstance(given, np.ndarray) or given.ndim > 0
    several = isinstance(given, Iterable) and flat and not isinstance(given, texts)
    values = list(given) if several else [given] * n
    if len(values) != n:
        raise DataError(f"{what}: {len(values)} values for {n} ids")
    return values


def _of(what: str) -> str:
    return "user" if what.startswith("user") else "item"


def item_columns(names: Any) -> list[str]:
    """Names of item columns. Raises: FunnelError for what is no list."""
    if isinstance(names, str | bytes | Mapping) or not isinstance(names, Iterable):
        raise FunnelError(f"attributes is {shown(names)}; a list of names of item columns is expected")
    return [name if isinstance(name, str) else repr(name) for name in islice(names, MOST_IDS)]


def columns_by_name(given: Any, what: str, example: str) -> Mapping[str, Any]:
    """Values of columns. Raises: FunnelError for what is no mapping."""
    if not isinstance(given, Mapping):
        raise FunnelError(f"{what} is {shown(given)}; columns by name are expected, like {example}")
    return given


def columns_by_item(given: Any, what: str) -> Mapping[Any, Mapping[str, Any]]:
    """Values of columns, by item. Raises: FunnelError for what is no mapping of mappings."""
    if not isinstance(given, Mapping):
        example = '{7: {"price": 9.5}}'
        raise FunnelError(f"{what} is {shown(given)}; columns by item id are expected, like {example}")
    for item, columns in given.items():
        columns_by_name(columns, f"{what} of item {shown(item)}", '{"price": 9.5}')
    return given
