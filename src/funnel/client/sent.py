"""Arguments as JSON has them; what JSON cannot say is refused here, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import ConfigError, DataError, FunnelError
from funnel.values.arguments import columns_by_item, columns_by_name, one_each
from funnel.values.events import answer_id, parts, worth
from funnel.values.plain import plain
from funnel.values.shown import shown
from funnel.values.times import seconds


def is_given(value: Any) -> bool:
    """Whether an argument is to be sent: what is left out has the service's default, which is Live's."""
    return value is not None and not (isinstance(value, tuple) and not value)


def filtered(where: Any) -> Any:
    """A filter. Raises: ConfigError where it compares with NaN, or with an infinity: JSON would have it as
    missing, which is another filter."""
    for number in odd(where):
        if math.isnan(number):
            raise ConfigError(f"where is {shown(where)}: nothing is equal to NaN, above it, or below it")
        raise ConfigError(f"where is {shown(where)}: JSON has no infinity; give numbers that end")
    return plain(where)


def odd(value: Any) -> Iterator[float]:
    """The numbers anywhere in a value that JSON does not have: NaN and infinities."""
    if isinstance(value, np.ndarray | pd.Series | pd.Index):
        value = value.tolist()
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        for part in value.values() if isinstance(value, Mapping) else value:
            yield from odd(part)
    elif isinstance(value, Decimal):
        if not value.is_finite():
            yield math.inf if value.is_infinite() else math.nan
    elif isinstance(value, float | np.floating) and not math.isfinite(value):
        yield float(value)


def known(value: Any, what: str) -> Any:
    """Columns, or a value of one; NaN is missing there, as in JSON. Raises: DataError for an infinity, which
    would arrive as missing."""
    if any(map(math.isinf, odd(value))):
        raise DataError(f"{what} is {shown(value)}: JSON has no infinity; give numbers that end, or None")
    return plain(value)


def argument(value: Any, what: str) -> Any:
    """One that is given. Raises: FunnelError for NaN and what else JSON has as nothing: that would be as if
    it were left out."""
    sent = plain(value)
    if sent is None:
        raise FunnelError(f"{what} is {shown(value)}, which is no value; leave it out, or give one")
    return sent


def event(given: Any, number: int) -> dict[str, Any]:
    """An event, as far as it says what it is. Raises: DataError for what is none."""
    user, item, when, kind, value, answer = parts(given, number)
    where = f"event {number}: "
    if kind is not None and not isinstance(kind, str):
        raise DataError(f"{where}kind is {shown(kind)}; a text is expected")
    when = None if when is None else seconds(when, f"{where}time")
    named = {
        "time": when, "kind": kind, "value": worth(value, where), "answer": answer_id(answer, where)
    }  # fmt: skip
    kept = {name: part for name, part in named.items() if part is not None}
    return plain({"user_id": user, "item_id": item, **kept})


def frame(items: Any) -> list[dict[str, Any]]:
    """The rows of a table. Raises: DataError for what is none, and for infinities."""
    if not isinstance(items, pd.DataFrame):
        raise DataError(f"items is a {type(items).__name__}: a pandas DataFrame is expected")
    if not items.columns.is_unique:
        raise DataError(f"items has a column twice: {', '.join(map(str, items))}")
    values = [items[name].tolist() for name in items]
    for name, column in zip(items, values, strict=True):
        for value in column:
            known(value, f"items.{name}")
    return [plain(dict(zip(map(str, items), row, strict=True))) for row in zip(*values, strict=True)]


def columns(ids: list[Any], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Values of columns by item. Raises: see `columns_by_name` and `one_each`; DataError for infinities."""
    patches: dict[str, dict[str, Any]] = {str(plain(item)): {} for item in ids}
    for name, some in columns_by_name(given, "columns", '{"price": 9.5}').items():
        for item, value in zip(ids, one_each(some, len(ids), f"items.{name}"), strict=True):
            patches[str(plain(item))][str(name)] = known(value, f"items.{name}")
    return patches


def columns_of_each(given: Mapping[Any, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The same where each item has columns of its own."""
    return {
        str(plain(item)): {str(name): known(value, f"items.{name}") for name, value in some.items()}
        for item, some in columns_by_item(given, "changes").items()
    }
