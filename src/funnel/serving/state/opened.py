"""Where a state is kept, by a path or a URL."""

from __future__ import annotations

from pathlib import Path

from funnel.errors import FunnelError
from funnel.serving.state.log import StateLog
from funnel.serving.state.sqlite import SqliteLog
from funnel.values.shown import shown
from funnel.values.urls import is_url, with_variables, without_password

_REDIS, _POSTGRES = ("redis", "rediss", "unix"), ("postgresql", "postgres")


def open_state(where: str | Path | StateLog) -> StateLog:
    """The state at a path of a SQLite file, `redis://host:6379/0` (`rediss://` with TLS, `unix://` a socket),
    or `postgresql://user:password@host/database`; a log is itself. A server is asked when the state is used.
    What stands in `${}` is taken from the environment.

    Raises: FunnelError for another scheme, naming the extra where a driver is not installed, or where it is
    neither a path, a text nor a log.
    """
    if isinstance(where, StateLog):
        return where
    if not isinstance(where, str) or not is_url(where):
        return SqliteLog(where)
    scheme = where.partition("://")[0]
    if scheme in _REDIS:
        try:
            from funnel.serving.state.on_redis import RedisLog
        except ModuleNotFoundError as missing:
            raise _needs("redis", "redis", missing) from missing
        return RedisLog(with_variables(where))
    if scheme in _POSTGRES:
        try:
            from funnel.serving.state.on_postgres import PostgresLog
        except ModuleNotFoundError as missing:
            raise _needs("PostgreSQL", "postgres", missing) from missing
        return PostgresLog(with_variables(where))
    raise FunnelError(
        f"state is {shown(without_password(where))}; a path, redis://, rediss://, unix:// or postgresql:// "
        "is expected"
    )


def _needs(what: str, extra: str, missing: ModuleNotFoundError) -> FunnelError:
    if missing.name is None or missing.name.partition(".")[0] == "funnel":
        raise missing
    return FunnelError(f'a state on {what} needs its driver: pip install "funnel-rank[{extra}]"')
