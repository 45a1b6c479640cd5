"""What callers of `Live` pass, checked: each function takes one argument and returns it in one form.

Callers pass on what others sent them. Whatever cannot be meant is a FunnelError that names the argument, what
it was, and what is expected; nothing is read as something else, such as a text as a list of its letters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd

from funnel.errors import ConfigError, DataError, FunnelError
from funnel.features import ContextEncoder, Spec
from funnel.types import Bool, EventKinds
from funnel.values.arguments import (
    MOST_IDS,
    MOST_ITEMS,
    MOST_RANKED,
    columns_by_item,
    columns_by_name,
    ids,
    item_columns,
    item_count,
    milliseconds,
    moment,
    one_each,
    period,
    reranked,
    whole,
)
from funnel.values.events import LONGEST
from funnel.values.ids import written
from funnel.values.nearest import hint
from funnel.values.shown import shown
from funnel.values.words import word

__all__ = [
    "MOST_IDS",
    "MOST_ITEMS",
    "MOST_RANKED",
    "Seen",
    "attributes",
    "columns_by_item",
    "columns_by_name",
    "comparable",
    "context",
    "contexts",
    "contexts_of",
    "ids",
    "item_columns",
    "item_count",
    "known",
    "milliseconds",
    "moment",
    "one_each",
    "period",
    "reranked",
    "seen",
    "user",
    "user_columns",
    "whole",
]

#: Whether items that a user interacted with come back, or the kinds of events whose items do not.
Seen: TypeAlias = Literal["exclude", "allow"] | Sequence[str] | None

#: Whole numbers of more bits are no ids; Python does not write very long ones at all.
_MOST_BITS = 4_096


def seen(value: Any, exclude_seen: bool | Sequence[str], kinds: EventKinds | None = None) -> bool | Bool:
    """Whether items of the history are left out, or a mask of the kinds of events whose items are: bool
    [kinds + 1], the last for a kind that is not known. None: as the bundle has it.

    Raises: FunnelError unless it is "exclude", "allow", a list of the bundle's kinds, or None.
    """
    if value is None:
        value = exclude_seen
        if isinstance(value, bool):
            return value
    if isinstance(value, str):
        if value in ("exclude", "allow"):
            return value == "exclude"
    elif isinstance(value, list | tuple) and len(value) and kinds is not None:
        for name in value:
            if not isinstance(name, str) or name not in kinds.names:
                raise FunnelError(f"seen names the kind of event {shown(name)}; {hint(name, kinds.names)}")
        return np.array([*(name in value for name in kinds.names), False], dtype=np.bool_)
    value = value[0] if isinstance(value, list) and len(value) == 1 else value  # as the command line has it
    example = "" if kinds is None else f", or kinds of events, such as {list(kinds.names[:1])}"
    raise FunnelError(f'seen is {shown(value)}; it must be "exclude" or "allow"{example}')


def known(value: Any) -> Any:
    """An id as it is, None in place of what cannot be one: it is then unknown, which is no error."""
    if isinstance(value, bool | np.bool_):
        return None
    if isinstance(value, int):
        return value if value.bit_length() <= _MOST_BITS else None
    if isinstance(value, str):
        return None if value.endswith("\0") else value  # NumPy drops a zero at the end of a text
    if isinstance(value, float | np.integer | np.floating):
        return value
    return written(value)  # such as a UUID or a decimal, as the events and tables of it are


def user(value: Any) -> Any:
    """A user's id as it is; None for nobody.

    Raises: DataError for what cannot be one, and is in no event and no table either: what is missing in
    another way, a truth value, a list, bytes, a text that is empty, longer than 4,096 characters or has half
    a character.
    """
    if value is None or (type(value) is int and -(2**63) <= value < 2**63):
        return value
    if type(value) is str and value and value.isascii() and len(value) <= LONGEST:
        return value  # most are such: for them it is to cost nothing
    text = written(value)
    if text is None or len(text) > LONGEST:
        raise DataError(
            f"user id {shown(value)} is none: a whole number or a text is expected, None for nobody"
        )
    return value


def attributes(names: Any, there: Sequence[str]) -> list[str] | None:
    """The item columns of an answer, None where the usual ones are meant.

    Raises: FunnelError for what is no list; ConfigError for a column that there is not.
    """
    if names is None:
        return None
    wanted = item_columns(names)
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise ConfigError(f"attributes {shown(unknown)} are unknown; there are: {', '.join(there) or 'none'}")
    return list(dict.fromkeys(wanted))


def user_columns(user: Any, specs: Mapping[str, Spec]) -> dict[str, Any]:
    """A user's columns by name; nothing for None.

    Raises: FunnelError when it is no mapping; ConfigError for a column that there is not; DataError for a
    value that the column cannot have.
    """
    if user is None:
        return {}
    columns_by_name(user, "user", '{"country": "DE"}')
    unknown = [name for name in user if name not in specs]
    if unknown:
        names = shown(sorted(map(str, unknown)))
        raise ConfigError(f"user columns {names} are unknown; there are: {', '.join(specs) or 'none'}")
    return {name: _column(value, specs[name], f"user column {name!r}") for name, value in user.items()}


def context(given: Any, encoder: ContextEncoder | None) -> dict[str, Any]:
    """What is known at the moment of a request, by column; nothing for None.

    encoder: of the bundle, None where it knows no moments.

    Raises: FunnelError when it is no mapping; ConfigError for a column that there is not, with the nearest,
    and for one that the request's time gives; DataError for a value that the column cannot have.
    """
    if given is None:
        return {}
    columns_by_name(given, "context", '{"device": "phone"}')
    specs = {} if encoder is None else encoder.table.specs
    for name in given:
        if name not in specs and encoder is not None and name in encoder.specs:
            raise ConfigError(f"context column {name!r} is that of the request's time: give `time` instead")
        if name not in specs:
            raise ConfigError(f"no context column {shown(name)}; {hint(name, specs)}")
    return {name: _column(value, specs[name], f"context column {name!r}") for name, value in given.items()}


def contexts(given: Any, encoder: ContextEncoder | None, n: int) -> list[dict[str, Any]]:
    """What is known at the moment of each of n requests: one mapping for all, or a list of one for each.

    Raises: see `context`; FunnelError where there are not as many.
    """
    if given is None or isinstance(given, Mapping):
        return [context(given, encoder)] * n
    if not isinstance(given, list | tuple):
        return [context(given, encoder)]  # says what is expected
    if len(given) != n:
        raise FunnelError(f"context has {len(given):,} entries for {n:,} users; one for all, or one for each")
    return [context(moment, encoder) for moment in given]


def contexts_of(given: Any, numbers: Sequence[int], n: int) -> Any:
    """Of contexts for n users, given as `contexts` takes them, those of some; whatever is wrong is left for
    `contexts` to say."""
    if isinstance(given, Sequence) and not isinstance(given, str | bytes) and len(given) == n:
        return [given[number] for number in numbers]
    return given


def comparable(value: Any) -> Any:
    """A checked value of the context as a filter looks for it: numbers and truth values as they are, else
    texts; None where it is missing."""
    if isinstance(value, list):
        return [comparable(part) for part in value] or None
    if value is None or isinstance(value, float | bool):
        return value
    return None if isinstance(value, np.ndarray) else word(value, "context")


def _column(value: Any, spec: Spec, what: str) -> Any:
    """A value in the form that the column's encoder reads, None where it is missing."""
    if _is_missing(value):
        return None
    if spec.kind == "number":
        return _number(value, what)
    if spec.kind == "vector":
        return _vector(value, spec.width, what)
    if spec.kind == "multi_category" and isinstance(value, list | tuple | set | frozenset | np.ndarray):
        return [_word(part, what) for part in _parts(value, what) if not _is_missing(part)]
    return _word(value, what)


def _parts(value: Any, what: str) -> list[Any]:
    parts = [value] if isinstance(value, np.ndarray) and value.ndim == 0 else list(value)
    if len(parts) > MOST_IDS:
        raise DataError(f"{what} lists more than {MOST_IDS:,} values; at most that many are taken")
    return parts


def _is_missing(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (_is_float(value) and bool(np.isnan(value)))


def _is_float(value: Any) -> bool:
    return isinstance(value, float | np.floating)


def _number(value: Any, what: str) -> float:
    try:
        if isinstance(value, str | int | float | np.integer | np.floating) and not isinstance(value, bool):
            return float(value)
    except (ValueError, OverflowError):
        pass
    raise DataError(f"{what} is {shown(value)}; a number is expected")


def _word(value: Any, what: str) -> Any:
    whole = not isinstance(value, int) or value.bit_length() <= _MOST_BITS
    if not whole or not isinstance(value, str | bool | int | float | np.generic) or isinstance(value, bytes):
        raise DataError(f"{what} is {shown(value)}; one text or number is expected")
    return value.item() if isinstance(value, np.generic) else value


def _vector(value: Any, size: int, what: str) -> Any:
    try:
        vector = np.asarray(None if isinstance(value, str) else value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        vector = np.empty(0)
    if vector.shape != (size,):
        raise DataError(f"{what} is {shown(value)}; a list of {size} numbers is expected")
    return vector
