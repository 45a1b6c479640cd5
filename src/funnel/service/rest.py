"""The routes that are seldom asked, on Starlette; what may take long runs on its threads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from funnel.service.admission import Admission, Role
from funnel.service.bodies import Model, parsed, read
from funnel.service.config import ServeConfig
from funnel.service.explore import trace
from funnel.service.missing import why
from funnel.service.models import ExplainBody, TraceBody
from funnel.service.openapi import document
from funnel.service.problem import HttpProblem
from funnel.service.writing import written
from funnel.serving.live import Live
from funnel.serving.request import Request

#: What is called on a thread, and returns what is sent as JSON.
Endpoint = Callable[[HttpRequest, Any], Any]


class Rest:
    """The routes beside the hot ones. draining: whether this process is about to end."""

    def __init__(self, live: Live, config: ServeConfig) -> None:
        self._live, self._config = live, config
        self.draining = False

    def routes(self) -> list[BaseRoute]:
        """All of them."""
        return [
            Route("/health/live", self._live_probe, methods=["GET"]),
            Route("/health/ready", self._ready, methods=["GET"]),
            Route("/openapi.json", self._openapi, methods=["GET"]),
            self._post("/v1/explain", ExplainBody, self._explain),
            self._post("/v1/trace", TraceBody, self._trace),
        ]

    def _post(
        self, path: str, model: type[Model], work: Callable[[Model], Any], role: Role = "read"
    ) -> Route:
        """A route that takes a body. work: runs on a thread."""

        async def endpoint(request: HttpRequest) -> Response:
            admission: Admission = request.scope["admission"]
            admission.require(role)
            body = await read(request.scope, request.receive, admission.body, self._config.seconds)
            return as_response(await run_in_threadpool(work, parsed(body, model)))

        return Route(path, endpoint, methods=["POST"])

    async def _live_probe(self, _: HttpRequest) -> Response:
        return as_response({"status": "live"})

    async def _ready(self, _: HttpRequest) -> Response:
        return as_response(await run_in_threadpool(self._readiness))

    def _readiness(self) -> dict[str, Any]:
        if self.draining:
            raise HttpProblem(503, "this process is about to end; ask another one")
        version = self._live.served().version
        if self._live.state_error is not None:
            raise HttpProblem(
                503, "the state cannot be read; answers go by what was known before", error="BundleError"
            )
        return {"status": "ready", "version": version, "state": self._live.position}

    async def _openapi(self, _: HttpRequest) -> Response:
        return as_response(document(self._config))

    def _explain(self, wanted: ExplainBody) -> dict[str, Any]:
        contributions = self._live.explain(
            wanted.user_id, wanted.item_id, history=wanted.history, user=wanted.user, time=wanted.time,
            seen=wanted.seen, context=wanted.context,
        )  # fmt: skip
        return {"contributions": contributions}

    def _trace(self, wanted: TraceBody) -> dict[str, Any]:
        if wanted.k > self._config.k:
            raise HttpProblem(422, f"k is {wanted.k:,}; at most {self._config.k:,} here")
        request = Request(
            wanted.user_id, wanted.history, wanted.user, wanted.where, wanted.exclude, wanted.time,
            wanted.seen, wanted.context,
        )  # fmt: skip
        traced = trace(self._live, request, wanted.k, wanted.attributes)
        reason = {} if wanted.item_id is None else {"why": why(traced, wanted.item_id).to_dict()}
        return traced.to_dict(wanted.top) | reason


def as_response(value: Any, status: int = 200) -> Response:
    """Plain values as JSON."""
    return Response(written(value), status, media_type="application/json")
