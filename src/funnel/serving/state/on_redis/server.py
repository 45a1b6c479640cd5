"""A Redis server: how long it is waited for, what its errors mean, and whether it is what it was."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from funnel.errors import BundleError, FunnelError
from funnel.serving.state.on_redis.scripts import BEGIN
from funnel.serving.state.once import Write
from funnel.serving.state.reach import PATIENT, QUICK, Reach
from funnel.values.shown import shown
from funnel.values.urls import check_written, scrubbed, without_password

log = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT = 1


class RedisServer:
    """Connections to a server, safe to use from several threads and after a fork.

    run: names the server's present run: one that started again, or took the place of another, may not have
    all that was acknowledged. durable: whether it writes what it holds to disk as it goes.
    Raises: FunnelError for a URL that is none.
    """

    def __init__(self, url: str) -> None:
        self.url, self.name = url, without_password(url)
        check_written(url, "/?#")
        self.reach, self.run, self.durable = Reach(), "", False
        self._quick, self._patient = self._client(QUICK), self._client(PATIENT)
        self._scripts: dict[str, Any] = {}

    def _client(self, seconds: float) -> redis.Redis:
        try:
            pool = redis.ConnectionPool.from_url(
                self.url,
                decode_responses=True,
                protocol=2,
                socket_connect_timeout=QUICK,
                socket_timeout=seconds,
                retry=Retry(NoBackoff(), 0),
                redis_connect_func=self._greet,
            )
            pool.connection_class(**pool.connection_kwargs)  # which knows what the URL may say
            _check_number(self.url)
        except (ValueError, TypeError) as error:
            raise FunnelError(
                f"{self.name} is no address of Redis: {scrubbed(str(error), self.url)}"
            ) from None
        return redis.Redis(connection_pool=pool)

    def _greet(self, connection: Any) -> None:
        """What a new connection begins with."""
        connection.on_connect()
        connection.send_command("INFO")
        lines = connection.read_response().splitlines()
        info = dict(line.split(":", 1) for line in lines if ":" in line)
        try:
            self.check_keeps(info)
        except BundleError:
            connection.disconnect()
            raise
        self.durable = info.get("aof_enabled") == "1"
        if not self.durable and not self.run:
            log.warning(
                "%s keeps the state in its memory (appendonly no): what was acknowledged may be lost with it",
                self.name,
            )
        self.run = info.get("run_id", "")

    def check_keeps(self, info: Mapping[str, Any]) -> None:
        """Raises: BundleError where what it says of its memory means that it throws out what it was given."""
        policy = info.get("maxmemory_policy", "noeviction")
        if str(info.get("maxmemory", 0)) != "0" and policy != "noeviction":  # impressions have an end, too
            raise BundleError(
                f"{self.name} throws out what it was given when its memory is full (maxmemory-policy "
                f"{policy}); a state needs noeviction"
            )

    def request(self, work: Callable[[redis.Redis], T], *, patient: bool = False) -> T:
        """What `work` returns of a client; done again once where a connection was lost, or leads to a server
        that has become a copy of another, so it must be what can be done twice. patient: wait `PATIENT` for
        each answer, not `QUICK`.

        Raises: BundleError.
        """
        client = self._patient if patient else self._quick
        with self.reach.trying():
            try:
                try:
                    return work(client)
                except redis.TimeoutError:
                    if not patient:
                        raise
                    return work(client)
                except redis.ConnectionError:
                    return work(client)
                except redis.ResponseError as error:
                    if not _is_of_a_copy(error):
                        raise
                    self._forget_idle()  # its address may lead to another one by now
                    return work(client)
            except (redis.ConnectionError, redis.TimeoutError, OSError) as error:
                raise self.reach.lost(f"{self.name} cannot be reached: {self._reason(error)}") from None
            except redis.RedisError as error:
                raise BundleError(
                    f"{self.name} refuses: {self._reason(error)}; nothing was changed"
                ) from None

    def _reason(self, error: Exception) -> str:
        return scrubbed(str(error) or type(error).__name__, self.url)

    def now(self, *, patient: bool) -> float:
        """The server's clock. Raises: BundleError."""
        seconds, micros = self.request(lambda client: cast(Any, client.time()), patient=patient)
        return float(seconds) + micros / 1e6

    def call(self, script: str, *arguments: Any) -> Any:
        """Run a script, which may be run twice."""
        return self.request(lambda client: self._script(client, script)(args=arguments), patient=True)

    def write(self, write: Write, script: str, arguments: Sequence[Any], fresh: str) -> Any:
        """Run a script that changes something, once. fresh: the name of the log, where this begins it.

        Returns what it returns; None where it was done before. Raises: DataError, where the same name was
        given to another.
        """
        code = f"{BEGIN}\n{script}"
        keys = [f"funnel:done:{write.name}"]
        first = (write.sum, write.seconds, fresh, FORMAT)
        done = self.request(
            lambda client: self._script(client, code)(keys=keys, args=(*first, *arguments)), patient=True
        )
        if done == "other":
            raise write.refused()
        return None if done == "done" else done

    def _script(self, client: redis.Redis, code: str) -> Any:
        if code not in self._scripts:
            self._scripts[code] = self._patient.register_script(code)
        return self._scripts[code]

    def _forget_idle(self) -> None:
        for client in (self._quick, self._patient):
            client.connection_pool.disconnect(inuse_connections=False)

    def close(self) -> None:
        """Give back the connections; they are opened again when they are needed."""
        self._quick.connection_pool.disconnect()
        self._patient.connection_pool.disconnect()


def _is_of_a_copy(error: redis.ResponseError) -> bool:
    """Whether a server does not write because it is a copy; within a script, Redis 6 says so in the text."""
    return isinstance(error, redis.ReadOnlyError) or "-READONLY " in str(error)


def _check_number(url: str) -> None:
    """Raises: ValueError for a database by a name, in whose place the driver would take the first."""
    parts = urlsplit(url)
    given = parts.path.strip("/")
    if parts.scheme != "unix" and given and not given.isdecimal():
        raise ValueError(f"its database is {shown(given)}; a number is expected, such as /0")
