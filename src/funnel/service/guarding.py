"""Who may come in, and how many at a time: keys and the limits that are known before a body is read."""

from __future__ import annotations

from functools import lru_cache

from funnel.service.admission import Admission, Scope
from funnel.service.keys import Keys, is_loopback
from funnel.service.problem import HttpProblem

#: What anybody may see: whether it lives, what it understands, and pages that hold nothing.
OPEN = frozenset(["/health/live", "/health/ready", "/openapi.json", "/"])

#: What is below it may anybody see, too: the page's own files.
OPEN_BELOW = "/page/"

#: What is let in however much is going on: else a busy process would look like a dead one.
_ALWAYS = frozenset([*OPEN, "/metrics"])

#: Seconds after which to come again, where too much is going on.
_AGAIN = 1


class Doorkeeper:
    """Lets requests in by their key, `in_flight` at a time.

    Without keys, everybody who reaches this machine's own address may do everything; so pages of other sites,
    which a browser on this machine would fetch in their name, are refused.
    """

    def __init__(self, keys: Keys | None, *, body: int, in_flight: int) -> None:
        self._keys, self._most = keys, in_flight
        self._everybody = Admission("admin" if keys is None else "read", body)
        self._admissions = {role: Admission(role, body) for role in ("read", "write", "admin")}
        self.in_flight = 0

    def admit(self, scope: Scope) -> Admission:
        """Raises: HttpProblem: 401 without a key that is known, 403 from elsewhere, 429 where too much is
        going on, 503 where the file of keys cannot be read.
        """
        path = scope["path"]
        admission = self._admission(scope, path)
        if self.in_flight >= self._most and path not in _ALWAYS:
            raise HttpProblem(
                429,
                f"{self._most} requests are in flight, which is the limit of a worker; come again",
                headers={"retry-after": str(_AGAIN)},
            )
        self.in_flight += 1
        return admission

    def leave(self, admission: Admission) -> None:
        """See `Guard`."""
        self.in_flight -= 1

    def _admission(self, scope: Scope, path: str) -> Admission:
        if self._keys is None:
            _check_origin(scope)
            return self._everybody
        if path in OPEN or path.startswith(OPEN_BELOW):
            return self._everybody
        identity = self._keys.identity(_token(scope))
        if identity is None:
            raise _refused(self._keys)
        return self._admissions[identity.role]


def _refused(keys: Keys) -> HttpProblem:
    if not keys.usable:
        return HttpProblem(503, "keys cannot be read now, so nobody is let in; the service's log says why")
    return HttpProblem(
        401,
        "no key that is known here; send one as `Authorization: Bearer KEY`",
        headers={"www-authenticate": 'Bearer realm="funnel"'},
    )


def _token(scope: Scope) -> str:
    """The key of a request; empty where there is none, or more than one."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    kind, _, token = (given[0] if len(given) == 1 else b"").decode("latin-1").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def _check_origin(scope: Scope) -> None:
    """Raises: HttpProblem for a request that a page of another site, or under another name, makes."""
    host = origin = b""
    for name, value in scope["headers"]:
        if name == b"host":
            host = value
        elif name == b"origin":
            origin = value
    if not _is_here(host):
        raise HttpProblem(403, "this service has no keys, and is there for this machine alone: ask 127.0.0.1")
    if origin and origin.partition(b"://")[2] != host:
        raise HttpProblem(403, "pages of other sites may not ask a service without keys")


@lru_cache(maxsize=256)
def _is_here(host: bytes) -> bool:
    """Whether a header Host names this machine's own address: the same few are asked for again and again."""
    return is_loopback(_name(host))


def _name(host: bytes) -> str:
    """A header Host without its port."""
    text = host.decode("latin-1")
    return text.partition("]")[0].strip("[") if text.startswith("[") else text.partition(":")[0]
