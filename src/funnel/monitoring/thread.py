"""Looks now and then, in a thread of low priority of the process that answers."""

from __future__ import annotations

import logging
import threading
import time
from typing import Any

from pydantic import ValidationError

from funnel.errors import DataError, FunnelError
from funnel.monitoring.alarm import Alarm
from funnel.monitoring.config import MonitorConfig
from funnel.monitoring.files import ALARMS, monitor_folder, read
from funnel.monitoring.watching import Watch
from funnel.serving.background import later
from funnel.serving.live import Live

log = logging.getLogger(__name__)

#: What `Live.health` calls it.
HEALTH = "monitor"


def config_of(live: Live) -> MonitorConfig:
    """`[monitor]` of the config that the bundle in use was built with; the usual one where it cannot be
    read."""
    try:
        return MonitorConfig.model_validate(live.contents.while_served.get("monitor", {}))
    except ValidationError as error:
        log.error("[monitor] of %s cannot be read, so that the usual one counts: %s", live.version, error)
        return MonitorConfig()


class Monitoring:
    """Watches a `Live` from its own process, until `stop`. To be made after a fork.

        monitoring = Monitoring(live)

    config: default what the bundle in use has. What goes wrong in a look is in `Live.health`, as what it
    found is, and the next look is tried all the same.
    """

    def __init__(self, live: Live, config: MonitorConfig | None = None) -> None:
        self._live, self.config = live, config or config_of(live)
        self._watch: Watch | None = None
        self._stopped, self._ended = threading.Event(), threading.Event()
        self._looks, self._error = 0, "it has not looked yet" if self.config.on else "it is off"
        live.reports[HEALTH] = self.report
        if self.config.on:
            self._begin()
        else:
            self._ended.set()

    def _begin(self) -> None:
        """What is served is served also where no thread can be had."""
        try:
            later(self._run)
        except RuntimeError as error:
            self._error = str(error)
            self._ended.set()

    def stop(self, seconds: float = 5.0) -> None:
        """Keep what was learned; waits so long for a look that goes on."""
        self._stopped.set()
        self._ended.wait(seconds)

    def report(self) -> dict[str, Any]:
        """For `Live.health`: looks, what went wrong in the last, and alarms: of this process, and of the one
        that reads the log of answers."""
        own = {} if self._watch is None else dict(self._watch.monitor.open)
        shared = {alarm.key: alarm for alarm in alarms_of(self._live)}
        alarms = [alarm.to_dict() for alarm in (shared | own).values()]
        return {"looks": self._looks, "error": self._error, "alarms": alarms}

    def _run(self) -> None:
        try:
            while not self._stopped.wait(self.config.every):
                self._look()
        finally:
            if self._watch is not None:
                self._watch.close()
            self._ended.set()

    def _look(self) -> None:
        error = ""
        try:
            if self._watch is None:
                self._watch = Watch(self._live, self.config)
            self._watch.look()
            self._looks += 1
        except FunnelError as wrong:
            error = str(wrong)
        except Exception as wrong:  # a look must not be the last one
            error = repr(wrong)
            log.exception("the monitor could not look")
        if error and error != self._error:
            log.error("the monitor could not look: %s", error)
        self._error = error


def alarms_of(live: Live) -> list[Alarm]:
    """Those that the process which reads the log of answers has told of and are going on; none where it has
    not looked for a while."""
    try:
        raw = read(monitor_folder(live.folder) / ALARMS)
        if raw is None or time.time() - float(raw["at"]) > 3600:
            return []
        return [Alarm.from_dict(entry) for entry in raw["alarms"]]
    except (DataError, KeyError, TypeError, ValueError):
        return []
