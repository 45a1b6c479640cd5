"""A body, read within its limits and parsed."""

from __future__ import annotations

import asyncio
import math
import re
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import partial
from typing import Any, TypeAlias, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from funnel.service.admission import Scope
from funnel.service.fields import Body
from funnel.service.problem import HttpProblem, of_body

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Model = TypeVar("Model", bound=Body)


#: What a number must have in writing to be beyond a double.
_MAYBE_INFINITE = re.compile(rb"[eE]\+?\d{3}|\d{300}")


class ClientGone(Exception):
    """Nobody is there to be answered."""


async def read(scope: Scope, receive: Receive, limit: int, seconds: float) -> bytes:
    """The whole body. Raises: HttpProblem for one that is too long, too slow or of another type."""
    _check_headers(scope, limit)
    body = _read(receive, limit)
    try:
        first = body.send(None)
    except StopIteration as done:  # it was there: nothing has to be waited for, and no clock set
        return bytes(done.value)
    try:
        async with asyncio.timeout(seconds):
            return await _resumed(body, first)
    except TimeoutError as error:
        wrong = f"the body did not arrive within {seconds:g} seconds"
        raise HttpProblem(408, wrong, headers={"connection": "close"}) from error


@types.coroutine
def _resumed(coroutine: Coroutine[Any, Any, bytes], waits_for: Any) -> Generator[Any, Any, bytes]:
    """What a coroutine returns that was begun, and waits for something."""
    while True:
        try:
            value = yield waits_for
        except BaseException as error:  # such as the end of the time: the coroutine is told
            step = partial(coroutine.throw, error)
        else:
            step = partial(coroutine.send, value)
        try:
            waits_for = step()
        except StopIteration as done:
            return bytes(done.value)


def _check_headers(scope: Scope, limit: int) -> None:
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit() or len(value) > 18 or int(value) > limit:
                raise _too_long(limit)
        elif name == b"content-type":
            kind = value.partition(b";")[0].strip().lower()
            if kind != b"application/json":
                given = kind.decode("latin-1")[:80]
                raise HttpProblem(415, f"the body's type is {given!r}; application/json is expected")


async def _read(receive: Receive, limit: int) -> bytes:
    parts: list[bytes] = []
    length, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part, more = message.get("body", b""), message.get("more_body", False)
        length += len(part)
        if length > limit:
            raise _too_long(limit)
        parts.append(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _too_long(limit: int) -> HttpProblem:
    return HttpProblem(413, f"the body is longer than {limit:,} bytes, which is the limit here; send less")


def parsed(body: bytes, model: type[Model]) -> Model:
    """Raises: HttpProblem for what is not JSON (400), or not what the model says (422)."""
    if not body.strip():
        raise HttpProblem(400, f"the body is empty; a JSON object is expected: {_fields(model)}")
    try:
        value = from_json(body, allow_inf_nan=False, cache_strings="keys")
    except ValueError as error:
        raise HttpProblem(400, f"the body is not JSON (RFC 8259): {str(error)[:200]}") from error
    if _MAYBE_INFINITE.search(body) and not _is_finite(value):
        raise HttpProblem(
            400, "the body holds a number beyond those of 64 bits (IEEE 754): 1e308 is about the last"
        )
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise of_body(error, model, value) from error


def _is_finite(value: Any) -> bool:
    """Whether every number in it is. Parsed, it is at most 200 levels deep."""
    if isinstance(value, dict | list):
        return all(map(_is_finite, value.values() if isinstance(value, dict) else value))
    return not isinstance(value, float) or math.isfinite(value)


def _fields(model: type[Body]) -> str:
    return ", ".join(f"{name}" for name in model.model_fields)
