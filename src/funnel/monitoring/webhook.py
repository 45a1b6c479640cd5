"""Sends alarms to a URL, from a thread of its own: nobody waits for it; what it cannot send is dropped."""

from __future__ import annotations

import json
import logging
import queue
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from http import HTTPStatus

from funnel.errors import FunnelError
from funnel.monitoring.alarm import Alarm
from funnel.values.urls import scrubbed, with_variables, without_password

log = logging.getLogger(__name__)

#: Alarms that wait to be sent; what comes beyond is dropped, and counted.
WAITING = 100


class Webhook:
    """Sends each alarm as JSON, with POST.

    url: `${NAME}` is of the environment. timeout: seconds that an answer may take. attempts: tries of an
    alarm. pause: seconds behind the first, doubled behind each further one.

    dropped, sent: how many alarms.
    Raises: DataError for a variable that is not set.
    """

    def __init__(self, url: str, timeout: float, attempts: int, pause: float = 1.0) -> None:
        self._url, self._timeout = with_variables(url), timeout
        self._attempts, self._pause = attempts, pause
        self._queue: queue.Queue[Alarm | None] = queue.Queue(WAITING)
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self.dropped = self.sent = 0

    def send(self, alarm: Alarm) -> None:
        """Have it sent; never waits."""
        if self._thread is None or not self._thread.is_alive():  # also after a fork
            self._stopped, self._queue = threading.Event(), queue.Queue(WAITING)
            self._thread = threading.Thread(target=self._run, name="funnel-webhook", daemon=True)
            self._thread.start()
        try:
            self._queue.put_nowait(alarm)
        except queue.Full:
            self.dropped += 1
            log.error("the webhook is too slow: an alarm was not sent (%s)", alarm.key)

    def close(self, seconds: float = 0.0) -> None:
        """End the thread, with what it is about to send; what waits is dropped, unless it is sent in so many
        seconds."""
        if self._thread is None:
            return
        try:
            self._queue.put_nowait(None)
        except queue.Full:
            seconds = 0.0
        self._thread.join(seconds)
        self._stopped.set()
        self._thread = None

    def _run(self) -> None:
        waiting, stopped = self._queue, self._stopped
        while (alarm := waiting.get()) is not None:
            if self._delivered(alarm, stopped):
                self.sent += 1
            else:
                self.dropped += 1

    def _delivered(self, alarm: Alarm, stopped: threading.Event) -> bool:
        body, wrong = json.dumps(alarm.to_dict()).encode(), ""
        for attempt in range(self._attempts):
            if attempt and stopped.wait(self._pause * 2 ** (attempt - 1)):
                return False
            wrong, again = self._posted(body)
            if not wrong:
                return True
            if not again:
                break
        log.error(
            "the webhook %s did not take an alarm (%s): %s",
            without_password(self._url).split("?")[0], alarm.key, scrubbed(wrong, self._url),
        )  # fmt: skip
        return False

    def _posted(self, body: bytes) -> tuple[str, bool]:
        """What went wrong, nothing where nothing did, and whether to try again."""
        request = urllib.request.Request(
            self._url, body, {"content-type": "application/json", "user-agent": "funnel"}, method="POST"
        )
        try:
            with urllib.request.urlopen(request, timeout=self._timeout) as answer:
                return ("", False) if answer.status < 300 else (f"status {answer.status}", True)
        except urllib.error.HTTPError as error:
            busy = error.code >= 500 or error.code in (
                HTTPStatus.REQUEST_TIMEOUT,
                HTTPStatus.TOO_MANY_REQUESTS,
            )
            return f"status {error.code}", busy
        except (OSError, ValueError) as error:
            return str(error) or repr(error), not isinstance(error, ValueError)


def sender(url: str, timeout: float, attempts: int) -> Callable[[Alarm], None] | None:
    """What sends an alarm; None where no URL is given, or one that cannot be used, which the log says."""
    if not url:
        return None
    try:
        return Webhook(url, timeout, attempts).send
    except FunnelError as error:
        log.error("no alarm can be sent: %s", error)
        return None
