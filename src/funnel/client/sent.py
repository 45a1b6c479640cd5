"""Arguments as JSON has them; what JSON cannot say is refused here, before anything is sent."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from funnel.errors import ConfigError, DataError
from funnel.values.arguments import columns_by_name, one_each
from funnel.values.events import parts, worth
from funnel.values.plain import plain
from funnel.values.shown import shown
from funnel.values.times import seconds


def is_given(value: Any) -> bool:
    """Whether an argument is to be sent: what is left out has the service's default, which is Live's."""
    return value is not None and not (isinstance(value, tuple) and not value)


def filtered(where: Any) -> Any:
    """A filter. Raises: ConfigError where it compares with what is no number: JSON would have it as missing,
    which is another filter."""
    if holds_nan(where):
        raise ConfigError(f"where is {shown(where)}: nothing is equal to NaN, above it, or below it")
    return plain(where)


def holds_nan(value: Any) -> bool:
    """Whether NaN is anywhere in it."""
    if isinstance(value, Mapping):
        return any(map(holds_nan, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return any(map(holds_nan, value))
    return isinstance(value, float | np.floating) and math.isnan(value)


def event(given: Any, number: int) -> dict[str, Any]:
    """An event, as far as it says what it is. Raises: DataError for what is none."""
    user, item, when, kind, value, answer = parts(given, number)
    where = f"event {number}: "
    for name, part in (("kind", kind), ("answer", answer)):
        if part is not None and not isinstance(part, str):
            raise DataError(f"{where}{name} is {shown(part)}; a text is expected")
    when = None if when is None else seconds(when, f"{where}time")
    named = {"time": when, "kind": kind, "value": worth(value, where), "answer": answer}
    kept = {name: part for name, part in named.items() if part is not None}
    return plain({"user_id": user, "item_id": item, **kept})


def frame(items: Any) -> list[dict[str, Any]]:
    """The rows of a table. Raises: DataError for what is none."""
    if not isinstance(items, pd.DataFrame):
        raise DataError(f"items is a {type(items).__name__}: a pandas DataFrame is expected")
    if not items.columns.is_unique:
        raise DataError(f"items has a column twice: {', '.join(map(str, items))}")
    values = [items[name].tolist() for name in items]
    return [plain(dict(zip(map(str, items), row, strict=True))) for row in zip(*values, strict=True)]


def columns(ids: list[Any], given: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Values of columns by item. Raises: see `columns_by_name` and `one_each`."""
    patches: dict[str, dict[str, Any]] = {str(plain(item)): {} for item in ids}
    for name, some in columns_by_name(given, "columns", '{"price": 9.5}').items():
        for item, value in zip(ids, one_each(some, len(ids), f"items.{name}"), strict=True):
            patches[str(plain(item))][str(name)] = plain(value)
    return patches
