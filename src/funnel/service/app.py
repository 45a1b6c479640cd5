"""The service: an ASGI application over one `Live`.

    service = Service(Live("indexes/", watch=2))

Hot routes are plain ASGI, from the body's bytes to the answer's; the others are Starlette's. Whatever is
raised becomes a problem document, and what nobody meant to raise one without a word about it.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from starlette.exceptions import HTTPException
from starlette.routing import Match, Route, Router

from funnel.errors import FunnelError
from funnel.plugins import PluginFault
from funnel.service.admission import Admission, Guard, Open, Scope
from funnel.service.bodies import ClientGone, Receive, read
from funnel.service.config import ServeConfig
from funnel.service.hidden import masked
from funnel.service.hot import Hot, HotRoutes
from funnel.service.observing import Observer, Shared
from funnel.service.problem import CONTENT_TYPE, HttpProblem, of_error
from funnel.service.rest import Rest
from funnel.serving.live import Live
from funnel.values.nearest import hint
from funnel.values.shown import shown

log = logging.getLogger(__name__)

Send: TypeAlias = Callable[[Any], Awaitable[None]]

_JSON = (b"content-type", b"application/json")


class Service:
    """Answers HTTP from one `Live`.

    guard: who may come in, see `funnel.service.admission`; default everybody. shared: what workers have
    together, and worker: which of them this is; default it is the only one.
    To be made in the process, and used in the event loop, that it answers in.
    """

    def __init__(
        self,
        live: Live,
        config: ServeConfig | None = None,
        *,
        guard: Guard | None = None,
        shared: Shared | None = None,
        worker: int = 0,
    ) -> None:
        self.live, self.config = live, config or ServeConfig()
        self.guard: Guard = guard or Open(self.config.body)
        self._writer = ThreadPoolExecutor(1, "funnel-writer")
        self.observer = Observer(live, shared or Shared.of(), worker, self.config.slow)
        self.hot = HotRoutes(live, self.config, self._writer, self.observer.meter)
        self.rest = Rest(live, self.config, self.observer)
        self._table = self.hot.table()
        routes = self.rest.all()
        self._router = Router(routes, redirect_slashes=False)
        self.paths = [*self._table, *(r.path for r in routes if isinstance(r, Route) and r.include_in_schema)]

    def drain(self) -> None:
        """From now on connections end with their next answer, and the readiness probe says no."""
        self.rest.draining = True

    def close(self) -> None:
        """Wait for what is being written."""
        self._writer.shutdown()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See the ASGI specification."""
        if scope["type"] != "http":
            await _lifespan(scope, receive, send)
            return
        begun = self.observer.begin(scope)
        sent = Sent(send, begun.request)
        try:
            await self._answered(scope, receive, sent)
        finally:
            self.observer.end(scope, begun, self._route(scope), sent.status)

    async def _answered(self, scope: Scope, receive: Receive, send: Sent) -> None:
        try:
            await self._answer(scope, receive, send)
        except ClientGone:
            pass
        except Exception as error:
            if send.status:  # half of an answer: the server closes the connection
                raise
            await self._refuse(self._problem(scope, error), send)

    def _route(self, scope: Scope) -> str:
        """The template of a path, so that there are not as many as there are ids."""
        path = scope["path"]
        return path if path in self._table else getattr(scope.get("route"), "path", "none")

    async def _answer(self, scope: Scope, receive: Receive, send: Sent) -> None:
        admission = self.guard.admit(scope)
        try:
            hot = self._table.get(scope["path"])
            if hot is not None:
                await self._reply(send, 200, await self._hot(hot, admission, scope, receive), [_JSON])
                return
            scope["app"], scope["admission"] = self, admission
            await self._router(scope, receive, send)
        finally:
            self.guard.leave(admission)

    async def _hot(self, hot: Hot, admission: Admission, scope: Scope, receive: Receive) -> bytes:
        if scope["method"] != "POST":
            raise HTTPException(405, headers={"Allow": "POST"})
        admission.require(hot.role)
        body = scope["body"] = await read(scope, receive, admission.body, self.config.seconds)
        return await hot.handler(body, _key(scope) if hot.role == "write" else None)

    async def _reply(self, send: Sent, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
        headers.append((b"content-length", b"%d" % len(body)))
        if self.rest.draining:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _refuse(self, problem: HttpProblem, send: Sent) -> None:
        headers = [(b"content-type", CONTENT_TYPE)]
        headers += [(name.encode(), value.encode()) for name, value in problem.headers.items()]
        await self._reply(send, problem.status, problem.document(), headers)

    def _problem(self, scope: Scope, error: Exception) -> HttpProblem:
        if isinstance(error, HttpProblem):
            return error
        if isinstance(error, FunnelError) and not isinstance(error, PluginFault):
            return of_error(error, masked(str(error), self.live))
        if isinstance(error, HTTPException):
            return self._of_route(scope, error.status_code, error.headers or {})
        log.error("%s %s failed", scope["method"], self._route(scope), exc_info=error)
        return HttpProblem(500, "this is an error of the service; its log says more")

    def _of_route(self, scope: Scope, status: int, headers: Mapping[str, str]) -> HttpProblem:
        path = shown(scope["path"])
        if status == 405:
            allowed = self._methods(scope) or headers.get("Allow", "")
            return HttpProblem(
                405, f"{path} takes {allowed}, not {shown(scope['method'])}", headers={"allow": allowed}
            )
        return HttpProblem(404, f"nothing is at {path}; {hint(scope['path'], self.paths)}")

    def _methods(self, scope: Scope) -> str:
        """What all routes of a path take together."""
        routes = (route for route in self._router.routes if isinstance(route, Route))
        matching = [route.methods or () for route in routes if route.matches(scope)[0] is not Match.NONE]
        return ", ".join(sorted({method for methods in matching for method in methods}))


class Sent:
    """Passes messages on with the request's id, and keeps the status of the answer; 0 before it has one."""

    __slots__ = ("_header", "_send", "status")

    def __init__(self, send: Send, request: str) -> None:
        self._send, self.status = send, 0
        self._header = (b"x-request-id", request.encode())

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = [*message["headers"], self._header]
        await self._send(message)


def _key(scope: Scope) -> str | None:
    """The value of Idempotency-Key. Raises: HttpProblem for one that is too long, or none."""
    given = [value for name, value in scope["headers"] if name == b"idempotency-key"]
    if not given:
        return None
    key = given[0].decode("latin-1").strip()
    if len(given) > 1 or not 1 <= len(key) <= 255 or not key.isprintable():
        raise HttpProblem(400, "Idempotency-Key is one text of 1 to 255 printable characters")
    return key


async def _lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """Servers ask for it at their start and end; nothing is to be done. Web sockets are closed."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
        return
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
