"""The routes that are seldom asked, beside those of items, users and bundles."""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute

from funnel.service.bundles import Bundles
from funnel.service.config import ServeConfig
from funnel.service.explore import trace
from funnel.service.missing import why
from funnel.service.models import ExplainBody, TraceBody
from funnel.service.openapi import document
from funnel.service.problem import HttpProblem
from funnel.service.records import Records
from funnel.service.routes import Routes
from funnel.serving.live import Live
from funnel.serving.request import Request


class Rest:
    """Probes, the description, explanations, records and bundles.

    draining: whether this process is about to end.
    """

    def __init__(self, live: Live, config: ServeConfig) -> None:
        self._live, self._config = live, config
        self.draining = False

    def all(self) -> list[BaseRoute]:
        """All of them."""
        make = Routes(self._config.seconds)
        return [
            make.without_body("/health/live", lambda _: {"status": "live"}, "read"),
            make.without_body("/health/ready", lambda _: self._readiness(), "read"),
            make.without_body("/openapi.json", lambda _: document(self._config), "read"),
            make.with_body("/v1/explain", ExplainBody, self._explain, "read"),
            make.with_body("/v1/trace", TraceBody, self._trace, "read"),
            *Records(self._live, self._config).routes(make),
            *Bundles(self._live).routes(make),
        ]

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
        if wanted.k > self._config.k:
            raise HttpProblem(422, f"k is {wanted.k:,}; at most {self._config.k:,} here")
        request = Request(
            wanted.user_id, wanted.history, wanted.user, wanted.where, wanted.exclude, wanted.time,
            wanted.seen, wanted.context,
        )  # fmt: skip
        traced = trace(self._live, request, wanted.k, wanted.attributes)
        reason = {} if wanted.item_id is None else {"why": why(traced, wanted.item_id).to_dict()}
        return traced.to_dict(wanted.top) | reason
