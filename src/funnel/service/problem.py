"""What goes wrong, as problem documents (RFC 9457)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from funnel.errors import BundleError, FunnelError, GateError
from funnel.service.fields import Body, fields_at
from funnel.values.nearest import hint
from funnel.values.plain import as_json
from funnel.values.shown import shown

log = logging.getLogger(__name__)

CONTENT_TYPE = b"application/problem+json"

#: Names of RFC 9110 where Python before 3.13 has those of an earlier one.
_TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

#: Mistakes of one body that are named, at most.
_MOST_ERRORS = 20


class HttpProblem(Exception):
    """An answer that is none: raised anywhere in the service, and sent as a document.

    status: of HTTP. detail: what was wrong, and what would be right. error: the class of the funnel's own
    errors that `Live` would have raised. errors: of a body, each with a JSON pointer. more: members beside
    these. headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        error: str = "FunnelError",
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(detail)
        self.status, self.detail, self.error = status, detail, error
        self.errors, self.headers, self.more = list(errors), dict(headers or {}), more

    def document(self) -> bytes:
        """The body of the answer."""
        title = _TITLES.get(self.status) or HTTPStatus(self.status).phrase
        document: dict[str, Any] = {"type": "about:blank", "title": title, "status": self.status}
        document |= {"detail": self.detail, "error": self.error, **self.more}
        return as_json(document | ({"errors": self.errors} if self.errors else {}), None).encode()


def of_error(error: FunnelError, detail: str) -> HttpProblem:
    """What `Live` raised. detail: what is told of it."""
    kind = type(error).__name__
    if isinstance(error, GateError):
        verdict = error.verdict.model_dump(mode="json")
        return HttpProblem(409, detail, error=kind, verdict=verdict)
    if isinstance(error, BundleError):
        log.error("%s", error)
        return HttpProblem(503, detail, error=kind, headers={"retry-after": "1"})
    return HttpProblem(422, detail, error=kind)


def of_body(error: ValidationError, model: type[Body], body: Any) -> HttpProblem:
    """What a body has that its model does not allow: each mistake, where it is, and what would be right."""
    by_pointer: dict[str, dict[str, str]] = {}
    mistakes = error.errors(include_url=False, include_context=False)
    for mistake in sorted(
        mistakes, key=lambda some: some["type"] != "extra_forbidden"
    ):  # the likeliest cause
        position = _position(mistake, body)
        pointer = "".join(f"/{_escaped(part)}" for part in position)
        by_pointer.setdefault(pointer, {"pointer": pointer, "detail": _detail(mistake, position, model)})
    errors = list(by_pointer.values())[:_MOST_ERRORS]
    first = errors[0]
    more = f", and {len(by_pointer) - 1:,} more in `errors`" if len(by_pointer) > 1 else ""
    where = f"{first['pointer']}: " if first["pointer"] else ""
    return HttpProblem(422, f"{where}{first['detail']}{more}", error=_kind(first, model, body), errors=errors)


def _kind(first: Mapping[str, str], model: type[Body], body: Any) -> str:
    """The class of error that `Live` would have raised."""
    name = first["pointer"][1:].partition("/")[0]
    there = isinstance(body, dict) and name in body
    return model.raised.get(name, "DataError") if there else "DataError"


def _position(mistake: ErrorDetails, body: Any) -> list[str | int]:
    """Where it is in the body: pydantic also names the members of a union that it tried."""
    position: list[str | int] = []
    missing = mistake["type"] == "missing"
    parts = mistake["loc"][:-1] if missing else mistake["loc"]
    for part in parts:
        there = isinstance(body, dict) and part in body
        if there or (isinstance(body, list) and isinstance(part, int) and part < len(body)):
            body = body[part]
            position.append(part)
    return [*position, mistake["loc"][-1]] if missing else position


def _detail(mistake: ErrorDetails, position: Sequence[str | int], model: Any) -> str:
    if mistake["type"] == "extra_forbidden":
        *path, name = position
        return f"no field {shown(name)} is known here; {hint(name, fields_at(model, path))}"
    if mistake["type"] == "missing":
        return f"the field {shown(position[-1])} is missing"
    if mistake["type"] == "model_type":
        return f"a JSON object is expected; it is {shown(mistake['input'])}"
    message = mistake["msg"].removeprefix("Value error, ")
    return f"{message}; it is {shown(mistake['input'])}"


def _escaped(part: str | int) -> str:
    """A part of a JSON pointer (RFC 6901), cut where it is long."""
    return str(part)[:200].replace("~", "~0").replace("/", "~1")
