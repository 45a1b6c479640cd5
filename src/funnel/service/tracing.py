"""Spans of requests, where OpenTelemetry is installed.

By itself it does nothing: a program that has set it up gets them (`opentelemetry-instrument funnel serve`).
"""

from __future__ import annotations

from typing import Any


class Tracing:
    """Makes a span a request, below that of the caller, named as the conventions for HTTP say.

    Raises: ImportError where OpenTelemetry is not installed.
    """

    def __init__(self) -> None:
        from opentelemetry import propagate, trace
        from opentelemetry.trace import Status, StatusCode

        self._tracer, self._extract = trace.get_tracer("funnel.service"), propagate.extract
        self._server, self._failed = trace.SpanKind.SERVER, Status(StatusCode.ERROR)

    def begin(self, scope: Any) -> Any:
        """A span that has begun."""
        carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        return self._tracer.start_span(
            scope["method"],
            context=self._extract(carrier),
            kind=self._server,
            attributes={"http.request.method": scope["method"]},
        )

    def end(self, span: Any, route: str, status: int, request: str) -> None:
        """It has been answered."""
        if span.is_recording():
            span.update_name(f"{span.attributes['http.request.method']} {route}")
        span.set_attribute("http.route", route)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("funnel.request_id", request)
        if status >= 500:
            span.set_status(self._failed)
        span.end()


def installed() -> Tracing | None:
    """What makes spans; None where OpenTelemetry is not installed."""
    try:
        return Tracing()
    except ImportError:
        return None
