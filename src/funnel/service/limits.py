"""How much a request may ask for; each limit is a key of `[serve]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from funnel.service.config import ServeConfig
from funnel.service.fields import Body
from funnel.service.problem import HttpProblem

#: Of each field that may be long: how it is measured, the key of its limit, and the word for what it holds.
_MEASURES: dict[str, tuple[Callable[[Any], int], str, str]] = {
    "k": (int, "k", "items"),
    "history": (len, "history", "ids"),
    "exclude": (len, "history", "ids"),
    "items": (len, "items", "items"),
    "user_ids": (len, "users", "users"),
    "events": (len, "events", "events"),
    "where": (lambda where: conditions(where), "conditions", "conditions"),
}


def check(wanted: Body, config: ServeConfig) -> None:
    """Raises: HttpProblem (422) naming the field that asks for more than the config allows."""
    for name in wanted.model_fields_set:
        measure = _MEASURES.get(name)
        value = getattr(wanted, name) if measure else None
        if measure is None or value is None:
            continue
        size, key, what = measure[0](value), measure[1], measure[2]
        most = getattr(config, key)
        if size > most:
            detail = f"{name} is {size:,} {what}; at most {most:,} here"
            errors = [{"pointer": f"/{name}", "detail": detail}]
            raise HttpProblem(422, f"{detail} (`{key}` of [serve])", errors=errors)


def conditions(where: Any) -> int:
    """Columns that a filter names, however they are nested, and alternatives that compare nothing."""
    count, left = 0, [where]
    while left:
        part = left.pop()
        if isinstance(part, Mapping):
            for name, value in part.items():
                nested = name in ("and", "or", "not")
                count += not nested
                left += [value] if nested else []
        elif isinstance(part, list):
            count += not part
            left += part
    return count
