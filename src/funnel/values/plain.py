"""Values as strict JSON has them (RFC 8259): every reader takes them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from datetime import date, time, timedelta
from typing import Any

import numpy as np
import pandas as pd

from funnel.values.text import mended


def plain(value: Any) -> Any:
    """The value as null, a truth value, number, text, list, or mapping with texts for keys.

    Missing values, NaN and infinities are null, also within lists. Dates and times are ISO 8601, lengths of
    time are seconds, and what JSON does not know, such as a UUID or a Decimal, is its text. Half a character
    in a text becomes U+FFFD.

    >>> plain({"price": float("inf"), "tags": ("a", "b")})
    {'price': None, 'tags': ['a', 'b']}
    """
    if isinstance(value, np.ndarray | np.generic | pd.Series | pd.Index):
        value = value.tolist()
    if value is None or value is pd.NaT or value is pd.NA or isinstance(value, bool):
        return None if value is pd.NaT or value is pd.NA else value
    if isinstance(value, int | str):
        return mended(str(value)) if isinstance(value, str) else int(value)
    if isinstance(value, Mapping):
        return {mended(str(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return _single(value)


def as_json(value: Any, indent: int | None = 1) -> str:
    """Strict JSON of `plain(value)`."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)


def _single(value: Any) -> Any:
    """Any value but a text, a whole number or an ordered collection."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, set | frozenset):
        return sorted((plain(item) for item in value), key=str)
    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    text = mended(str(value))
    return None if text in ("NaN", "sNaN", "Infinity", "-Infinity") else text  # a Decimal may be none
