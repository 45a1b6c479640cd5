"""What a worker writes into its row: requests, answers, and what is known of the bundle and the state."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from funnel.monitoring.kinds import KINDS
from funnel.service import instruments as to
from funnel.service.board import Board, health_of
from funnel.service.counters import WorkerRow
from funnel.serving.live import Live
from funnel.serving.response import SKIPPED, Answer

#: Codes that are followed by what a caller sent, which is no label.
_OF_CALLERS = ("unknown_item", "deleted_item", "missing_context")


class Meter:
    """Counts for one worker; to be called from its event loop alone."""

    def __init__(self, row: WorkerRow) -> None:
        self._row = row
        self._counted: dict[str, int] | None = None
        row.put(to.IN_FLIGHT.name, 0)  # what was in flight when a worker was killed is not any more
        row.put(to.PROCESS.name, os.getpid())
        row.add(to.STARTS.name)

    def request(self, route: str, status: int, seconds: float, in_flight: int) -> None:
        """A request was answered. route: a template, such as "/v1/items/{item_id}"."""
        row = self._row
        row.add("funnel_http_requests", f"{route} {status}")
        row.observe("funnel_http_request_seconds", seconds, route)
        row.put("funnel_http_requests_in_flight", in_flight)

    def answers(self, answers: Sequence[Answer]) -> None:
        """One call of the engine was answered with these lists, whose stages took as long as the first's."""
        row = self._row
        row.add("funnel_answers", n=len(answers))
        for answer in answers[:1]:
            for stage, milliseconds in answer.milliseconds.items():
                row.observe("funnel_stage_seconds", milliseconds / 1000, stage)
        for answer in answers:
            for code in answer.reasons:
                self._reason(code)

    def batch(self, waited: Sequence[float]) -> None:
        """The engine was called for requests that waited so many seconds."""
        self._row.add("funnel_batches")
        for seconds in waited:
            self._row.observe("funnel_queue_seconds", seconds)

    def events(self, n: int) -> None:
        """Events were taken in."""
        self._row.add("funnel_events", n=n)

    def _reason(self, code: str) -> None:
        head, _, tail = code.partition(":")
        if code.startswith(SKIPPED):
            self._row.add("funnel_stage_skips", tail)
        self._row.add("funnel_answer_reasons", head if head in _OF_CALLERS else code)

    def bundle(self, snapshot: dict[str, Any]) -> None:
        """What `snapshot` says of the bundle and the state."""
        row = self._row
        row.name(to.VERSION.name, snapshot["version"])
        for name, value in snapshot["gauges"].items():
            row.put(name, value)
        for kind in KINDS:  # those that are over, too
            row.put(to.ALARMS.name, snapshot["alarms"].get(kind, 0), kind)
        counts = snapshot["counts"]
        before = self._counted or counts  # what the parent of a fork did is not this worker's
        for name, count in counts.items():
            row.add(name, n=count - before[name])
        self._counted = counts


def snapshot(live: Live, board: Board | None = None) -> dict[str, Any]:
    """What is known of the bundle and the state now; reads the log to its end, so it may take a moment.
    board: of a supervisor, which then counts what it takes up.
    """
    live.served()
    own = live.health()
    health = health_of(own, board)
    created = datetime.fromisoformat(live.manifest.created)
    gauges = {
        to.CREATED.name: int(created.replace(tzinfo=created.tzinfo or UTC).timestamp()),
        to.DATA.name: int(live.manifest.data_read),
        to.REFUSED.name: int(health["refused"] is not None),
        to.STATE_UNREADABLE.name: int(health["state"]["error"] is not None),
        to.STATE_SKIPPED.name: int(health["state"]["skipped"]),
        to.FILTER_BYTES.name: int(health["memory"]["filter_bytes"]["size"]),
    }
    logged = health["impressions"]
    gauges |= {
        to.IMPRESSIONS_WAITING.name: logged["waiting"],
        to.IMPRESSIONS_LAG.name: int(logged["lag_seconds"]),
    }
    if health["state"]["error"] is None:
        gauges[to.STATE_SEEN.name] = int(time.time())
    counts = {
        to.RELOADS.name: own["reloads"],
        to.REFUSALS.name: own["refusals"],
        to.IMPRESSIONS.name: logged["recorded"],
        to.IMPRESSIONS_DROPPED.name: logged["dropped"],
        to.IMPRESSIONS_BYTES.name: logged["bytes"],
        to.IMPRESSIONS_ERRORS.name: logged["errors"],
        to.FEEDBACK.name: logged["feedback"],
    }
    monitor = health.get("monitor", {"looks": 0, "error": "", "alarms": []})
    gauges[to.BLIND.name] = int(monitor["looks"] > 0 and monitor["error"] != "")
    counts[to.LOOKS.name] = monitor["looks"]
    alarms = Counter(alarm["kind"] for alarm in monitor["alarms"])
    return {"version": health["version"], "gauges": gauges, "counts": counts, "alarms": alarms}
