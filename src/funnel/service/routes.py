"""How a seldom asked route is made: what it takes, on a thread, and what it answers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from anyio import to_thread
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route

from funnel.service.admission import Admission, Role, Scope
from funnel.service.bodies import Model, parsed, read
from funnel.service.config import ServeConfig
from funnel.service.limits import check
from funnel.service.problem import HttpProblem
from funnel.service.writing import written
from funnel.values.nearest import hint
from funnel.values.shown import shown

#: In place of a slash: half a character, which no path has.
_SLASH = "\udc2f"

#: Whose work is done in the event loop: a probe must not wait until a thread is free.
AT_ONCE = ("/health/live", "/health/ready", "/openapi.json")


class Routes:
    """Makes routes whose work is done on a thread. config: limits of bodies."""

    def __init__(self, config: ServeConfig) -> None:
        self._config = config

    def with_body(
        self, path: str, model: type[Model], work: Callable[[Model], Any], role: Role, method: str = "POST"
    ) -> Route:
        """Takes a JSON object."""

        async def endpoint(request: Request) -> Response:
            allowed(request, role)
            wanted = parsed(await self.body(request), model)
            check(wanted, self._config)
            return as_response(await self._worked(work, wanted, role))

        return route(path, endpoint, method)

    def without_body(
        self,
        path: str,
        work: Callable[[Request], Any],
        role: Role,
        method: str = "GET",
        query: Sequence[str] = (),
    ) -> Route:
        """Takes what its path says. query: names that its query may have."""

        async def endpoint(request: Request) -> Response:
            allowed(request, role)
            for name in request.query_params:
                if name not in query:
                    raise HttpProblem(422, f"no parameter {shown(name)} is known here; {hint(name, query)}")
            at_once = path in AT_ONCE
            return as_response(work(request) if at_once else await self._worked(work, request, role))

        return route(path, endpoint, method)

    async def _worked(self, work: Callable[[Any], Any], given: Any, role: Role) -> Any:
        """What a thread works out. What only reads is not waited for longer than a request may take; of what
        writes, the caller is to hear what became of it.
        """
        if role != "read":
            return await run_in_threadpool(work, given)
        try:
            async with asyncio.timeout(self._config.seconds):
                return await to_thread.run_sync(work, given, abandon_on_cancel=True)
        except TimeoutError as error:
            wrong = f"this took longer than {self._config.seconds:g} seconds; ask for less, or come again"
            raise HttpProblem(503, wrong, headers={"retry-after": "1"}) from error

    async def body(self, request: Request) -> bytes:
        """See `funnel.service.bodies.read`."""
        admission: Admission = request.scope["admission"]
        body = await read(request.scope, request.receive, admission.body, self._config.seconds)
        request.scope["body"] = body  # for the log, where it is slow
        return body


class IdRoute(Route):
    """A route whose ids may have slashes: one that is written %2F is of the id, and ends no part of the path.

    Else "bob/history", which is an id, would be the history of "bob".
    """

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """See starlette's."""
        match, child = super().matches({**scope, "path": _written(scope)})
        given = child.get("path_params", {})
        return match, {
            **child,
            "path_params": {name: id_.replace(_SLASH, "/") for name, id_ in given.items()},
        }


def _written(scope: Scope) -> str:
    """The path with `_SLASH` for each slash that is written %2F, where the server says how it was written."""
    parts = scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1").split("/")
    path = "/".join(unquote(part).replace("/", _SLASH) for part in parts)
    return path if path.replace(_SLASH, "/") == scope["path"] else str(scope["path"])


def route(path: str, endpoint: Callable[[Request], Any], method: str) -> Route:
    """A route whose ids may have any character in them, line ends too."""
    whole = (IdRoute if ":path" in path else Route)(path, endpoint, methods=[method])
    whole.path_regex = re.compile(whole.path_regex.pattern, re.DOTALL)
    return whole


def allowed(request: Request, role: Role) -> None:
    """Raises: HttpProblem (403)."""
    admission: Admission = request.scope["admission"]
    admission.require(role)


def whole_number(request: Request, name: str, default: int, most: int) -> int:
    """A parameter of the query. Raises: HttpProblem for what is none from 1 to `most`."""
    text = request.query_params.get(name, str(default))
    if text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most:
        return int(text)
    raise HttpProblem(422, f"{name} is {shown(text)}; a whole number from 1 to {most:,} is expected")


def as_response(value: Any, status: int = 200) -> Response:
    """Plain values as JSON; bytes are JSON already."""
    content = value if isinstance(value, bytes) else written(value)
    return Response(content, status, media_type="application/json")
