"""Logs for machines: one JSON object a line, with the request that it is about; and what slow requests were.

No line has a value that a caller sent: a request is known by its id, by a digest that only this service can
make, and by its form.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, TextIO

from pydantic_core import from_json

from funnel.service import models
from funnel.service.fields import Body

#: The request that is being answered. A context's own, so that what the engine logs has it, too.
REQUEST: ContextVar[str] = ContextVar("funnel_request", default="")

#: What callers may name a request, so that its way through several services can be followed.
_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")

#: Names that fields of bodies have.
_NAMES = frozenset(
    name
    for model in vars(models).values()
    if isinstance(model, type) and issubclass(model, Body)
    for name in model.model_fields
)

#: Fields of a body that say how large it is.
_NUMBERS = ("k", "deadline", "time")


class JsonFormatter(logging.Formatter):
    """A record as one line: time (UTC), level, logger, message, process, request; `fields` of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if request := REQUEST.get():
            line["request"] = request
        line |= getattr(record, "fields", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def log_as_json(stream: TextIO | None = None, level: str = "INFO") -> None:
    """Write every log of the process as JSON, in place of what was set up: for a program, not a library."""
    handler = logging.StreamHandler(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)


def request_id(headers: list[tuple[bytes, bytes]]) -> str:
    """The id that a caller gave in X-Request-Id, where it may be one; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return value.decode()
    return os.urandom(8).hex()


def summary(body: bytes, secret: bytes) -> dict[str, Any]:
    """What a body was like: a digest that is equal for equal bodies, and of each field that a body may have
    its form alone; of others, which may be called by somebody's id, how many there are.

    secret: without it nobody can find out which user a digest is of by trying all of them.
    """
    about: dict[str, Any] = {
        "digest": hashlib.blake2b(body, key=secret, digest_size=8).hexdigest(),
        "bytes": len(body),
    }
    try:
        fields = from_json(body)  # which says so where it is too deep, as for bodies that are answered
    except ValueError:
        return about
    if isinstance(fields, Mapping):
        about["fields"] = {name: _form(name, value) for name, value in fields.items() if name in _NAMES}
        if unknown := len(fields) - len(about["fields"]):
            about["unknown"] = unknown
    return about


def _form(name: str, value: Any) -> Any:
    """Of a list its length, of an object its length, of a number that is no id the number itself."""
    if isinstance(value, list | dict):
        return len(value)
    if name in _NUMBERS and isinstance(value, int | float):
        return value
    return "null" if value is None else type(value).__name__
