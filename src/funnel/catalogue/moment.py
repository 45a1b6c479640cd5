"""Filters that compare an item with what is known at the moment of the request.

    {"countries": {"contains": {"context": "country"}}}    the request's country is one of the item's
    {"price": {"le": {"context": "limit"}}}                not above the request's limit

`{"context": NAME}` stands where a value or a bound would. What the request does not say is not known, and an
item passes only where the filter holds whatever it is: neither a condition on it nor the `not` of one does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from funnel.catalogue.expression import MOST_ENTRIES, Where, taken
from funnel.errors import ConfigError
from funnel.values.nearest import hint
from funnel.values.shown import shown

_MARK = "context"


def named(where: Any) -> list[str]:
    """The names of what a filter compares items with, in order, each once; what is no filter names nothing.

    Raises: ConfigError where a name is none, and for a filter beyond the limits.
    """
    left = [MOST_ENTRIES]
    return list(dict.fromkeys(_names(where, 1, left)))


def check_named(names: Sequence[str], known: Sequence[str]) -> None:
    """Raises: ConfigError for a name that is not known, with the nearest."""
    for name in names:
        if name not in known:
            raise ConfigError(f"filter: no context column {shown(name)}; {hint(name, known)}")


def resolved(where: Any, context: Mapping[str, Any]) -> Where:
    """The filter with the values of one request in place of their names; missing: None, or not there."""
    return _resolved(where, context, held=False)


def _names(where: Any, depth: int, left: list[int]) -> list[str]:
    """left: entries that there may be still."""
    if not isinstance(where, Mapping):
        return []
    left[0] = taken(where, depth, left[0])
    names: list[str] = []
    for key, wanted in where.items():
        if key in ("and", "or") and isinstance(wanted, list | tuple):
            for part in wanted:
                names += _names(part, depth + 1, left)
        elif key == "not":
            names += _names(wanted, depth + 1, left)
        else:
            names += [_name(part) for part in _parts(wanted) if _is_name(part)]
    return names


def _parts(wanted: Any) -> list[Any]:
    """A value, and each bound."""
    return [wanted, *wanted.values()] if isinstance(wanted, Mapping) else [wanted]


def _is_name(value: Any) -> bool:
    return isinstance(value, Mapping) and set(value) == {_MARK}


def _name(value: Mapping[str, Any]) -> str:
    name = value[_MARK]
    if not isinstance(name, str):
        raise ConfigError(f'filter: {{"context": {shown(name)}}} names no context column; a text is expected')
    return name


def _resolved(where: Any, context: Mapping[str, Any], *, held: bool) -> Any:
    """held: what stands for a condition that is not known, so that the whole does not hold: true below an odd
    number of `not`."""
    if not isinstance(where, Mapping):
        return where
    return {"and": [_entry(key, wanted, context, held=held) for key, wanted in where.items()]}


def _entry(key: Any, wanted: Any, context: Mapping[str, Any], *, held: bool) -> dict[Any, Any]:
    if key in ("and", "or") and isinstance(wanted, list | tuple):
        return {key: [_resolved(part, context, held=held) for part in wanted]}
    if key == "not":
        return {key: _resolved(wanted, context, held=not held)}
    names = [_name(part) for part in _parts(wanted) if _is_name(part)]
    if any(context.get(name) is None for name in names):
        return {"and": []} if held else {"or": []}
    return {key: _with_values(wanted, context)}


def _with_values(wanted: Any, context: Mapping[str, Any]) -> Any:
    if _is_name(wanted):
        return context[_name(wanted)]
    if isinstance(wanted, Mapping):
        return {key: context[_name(part)] if _is_name(part) else part for key, part in wanted.items()}
    return wanted
