"""What somebody typed into the explorer's form, as a request."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from pydantic_core import from_json
from starlette.datastructures import QueryParams

from funnel.service.problem import HttpProblem
from funnel.serving.request import Request

#: Fields of the form, in their order.
FIELDS = ("user_id", "history", "where", "context", "k")


class Form:
    """The fields of a query. Raises: HttpProblem (422) for what is no JSON object or no number."""

    def __init__(self, query: QueryParams, most: int) -> None:
        self.text = {name: query.get(name, "").strip() for name in FIELDS}
        self.k = _number(self.text["k"] or "10", most)
        self.request = Request(
            self.text["user_id"] or None,
            _ids(self.text["history"]),
            where=_object(self.text["where"], "the filter"),
            context=_object(self.text["context"], "the context"),
        )

    @property
    def query(self) -> str:
        """The fields that were filled in, as a query."""
        return urlencode({name: text for name, text in self.text.items() if text})


def _number(text: str, most: int) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= most:
        return int(text[:9])
    raise HttpProblem(422, f"k is {text[:20]!r}; a whole number from 1 to {most:,} is expected")


def _ids(text: str) -> list[str] | None:
    return [part.strip() for part in text.split(",") if part.strip()] or None


def _object(text: str, what: str) -> Mapping[str, Any] | None:
    if not text:
        return None
    try:
        value = from_json(text)
    except ValueError as error:
        raise HttpProblem(422, f'{what} is not JSON, such as {{"genres": "Drama"}}: {error}') from error
    if not isinstance(value, dict):
        raise HttpProblem(422, f'{what} is a JSON object, such as {{"genres": "Drama"}}')
    return value
