"""The routes that are seldom asked, beside those of items, users and bundles."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from funnel.service.board import health_of
from funnel.service.bundles import Bundles
from funnel.service.config import ServeConfig
from funnel.service.explore import trace
from funnel.service.hidden import masked
from funnel.service.missing import why
from funnel.service.models import ExplainBody, TraceBody
from funnel.service.observing import Observer
from funnel.service.openapi import document
from funnel.service.page.views import Page
from funnel.service.problem import HttpProblem
from funnel.service.records import Records
from funnel.service.routes import Routes, allowed
from funnel.service.writing import written
from funnel.serving.live import Live
from funnel.serving.request import Request as LiveRequest


class Rest:
    """Probes, the description, explanations, records and bundles.

    draining: whether this process is about to end.
    """

    def __init__(self, live: Live, config: ServeConfig, observer: Observer) -> None:
        self._live, self._config, self._observer = live, config, observer
        self._board = observer.shared.board
        self.draining = False

    def all(self) -> list[BaseRoute]:
        """All of them."""
        make = Routes(self._config)

        async def metrics(request: Request) -> Response:
            allowed(request, "read")
            text, kind = await self._observer.metrics(request.headers.get("accept", ""))
            return Response(text, headers={"content-type": kind})

        return [
            Route("/metrics", metrics, methods=["GET"]),
            make.without_body("/health", lambda _: self._health(), "read"),
            make.without_body("/health/live", lambda _: {"status": "live"}, "read"),
            make.without_body("/health/ready", lambda _: self._readiness(), "read"),
            make.without_body("/openapi.json", lambda _: document(self._config), "read"),
            make.with_body("/v1/explain", ExplainBody, self._explain, "read"),
            make.with_body("/v1/trace", TraceBody, self._trace, "read"),
            *Records(self._live, self._config).routes(make),
            *Bundles(self._live, self._observer.shared).routes(make),
            *Page(self._live, self._config, self._board).routes(),
        ]

    def _health(self) -> bytes:
        """What `Live.health` says, without where files are."""
        return written(masked(health_of(self._live.health(), self._board), self._live))

    def _readiness(self) -> dict[str, Any]:
        if self.draining:
            raise HttpProblem(503, "this process is about to end; ask another one")
        version = self._live.served().version
        if self._live.state_error is not None:
            wrong = "the state cannot be read; answers go by what was known before"
            raise HttpProblem(503, wrong, error="BundleError")
        return {"status": "ready", "version": version, "state": self._live.position}

    def _explain(self, wanted: ExplainBody) -> dict[str, Any]:
        contributions = self._live.explain(
            wanted.user_id, wanted.item_id, history=wanted.history, user=wanted.user, time=wanted.time,
            seen=wanted.seen, context=wanted.context,
        )  # fmt: skip
        return {"contributions": contributions}

    def _trace(self, wanted: TraceBody) -> dict[str, Any]:
        request = LiveRequest(
            wanted.user_id, wanted.history, wanted.user, wanted.where, wanted.exclude, wanted.time,
            wanted.seen, wanted.context,
        )  # fmt: skip
        traced = trace(self._live, request, wanted.k, wanted.attributes)
        reason = {} if wanted.item_id is None else {"why": why(traced, wanted.item_id).to_dict()}
        return traced.to_dict(wanted.top) | reason
