"""How a seldom asked route is made: what it takes, on a thread, and what it answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from funnel.service.admission import Admission, Role
from funnel.service.bodies import Model, parsed, read
from funnel.service.config import ServeConfig
from funnel.service.limits import check
from funnel.service.problem import HttpProblem
from funnel.service.writing import written
from funnel.values.nearest import hint
from funnel.values.shown import shown

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
            return as_response(await run_in_threadpool(work, wanted))

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
            return as_response(work(request) if at_once else await run_in_threadpool(work, request))

        return route(path, endpoint, method)

    async def body(self, request: Request) -> bytes:
        """See `funnel.service.bodies.read`."""
        admission: Admission = request.scope["admission"]
        body = await read(request.scope, request.receive, admission.body, self._config.seconds)
        request.scope["body"] = body  # for the log, where it is slow
        return body


def route(path: str, endpoint: Callable[[Request], Any], method: str) -> Route:
    """A route whose ids may have any character in them, line ends too."""
    whole = Route(path, endpoint, methods=[method])
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
