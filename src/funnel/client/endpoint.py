"""Where the service is and what each request brings along: what both clients share."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from funnel.client.attempts import Lost, Reply
from funnel.client.calls import Call
from funnel.client.problems import is_absent, read
from funnel.errors import FunnelError, ServiceError
from funnel.values.shown import shown


def http_library() -> ModuleType:
    """httpx. Raises: FunnelError naming the extra."""
    try:
        import httpx
    except ModuleNotFoundError as missing:
        raise FunnelError('a client needs httpx: pip install "funnel-rank[client]"') from missing
    return httpx


@dataclass(frozen=True)
class Endpoint:
    """A service. key: never shown. seconds: of a call, with all its attempts. again: how often it is tried
    again.

    Raises: FunnelError for what is no address, no time, no number of attempts, or no key.
    """

    url: str
    key: str | None = field(repr=False)
    seconds: float
    again: int

    def __post_init__(self) -> None:
        _check_address(self.url)
        if isinstance(self.seconds, bool) or not 0 < self.seconds < math.inf:
            raise FunnelError(f"timeout is {shown(self.seconds)}; seconds are expected, such as 10.0")
        if isinstance(self.again, bool) or not isinstance(self.again, int) or self.again < 0:
            raise FunnelError(f"retries is {shown(self.again)}; a whole number of at least 0 is expected")
        if self.key is not None and not (self.key.isascii() and self.key.isprintable() and self.key.strip()):
            raise FunnelError("key is no API key: `funnel keys add` prints one")

    def request(self, call: Call[Any], seconds: float) -> dict[str, Any]:
        """The arguments of httpx's `stream` for a call."""
        headers = {"Accept": "application/json", **call.headers}
        if self.key is not None:
            headers["Authorization"] = f"Bearer {self.key}"
        content = None
        if call.body is not None:
            headers["Content-Type"] = "application/json"
            content = json.dumps(call.body, allow_nan=False, separators=(",", ":")).encode()
        return {
            "method": call.method,
            "url": self.url.rstrip("/") + call.path,
            "headers": headers,
            "content": content,
            "timeout": seconds,
        }

    def value(self, call: Call[Any], outcome: Reply | Lost) -> Any:
        """The value of a method. Raises: what the service raised, and ServiceError."""
        where = f"{call.method} {self.url.rstrip('/')}{call.path}"
        if call.or_none and is_absent(outcome):
            return None
        document = read(outcome, where)
        try:
            return call.read(document)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ServiceError(f"{where} answered what this client does not understand: {error!r}") from error

    def lost(self, error: Exception, seconds: float) -> Lost:
        """What an exception of httpx means."""
        httpx = http_library()
        if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            about = "is the service running there?"
            return Lost(f"cannot be reached ({error or 'no answer'}); {about}", sent=False, error=error)
        if isinstance(error, httpx.TimeoutException | TimeoutError):
            message = f"no answer within {seconds:g} seconds"
            return Lost(message, sent=True, error=error, late=True)
        return Lost(f"the connection broke ({error or type(error).__name__})", sent=True, error=error)


def _check_address(url: Any) -> None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        right = parts is not None and parts.scheme in ("http", "https") and bool(parts.hostname)
        plain = parts is not None and not (parts.query or parts.fragment or parts.username or parts.port == 0)
    except ValueError:  # no port that there is
        right = plain = False
    if not right or not plain:
        raise FunnelError(f'url is {shown(url)}; an address is expected, such as "http://127.0.0.1:8000"')
