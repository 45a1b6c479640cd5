"""Redis and PostgreSQL of a test's own, on a free port in a temporary folder; a test is skipped where they
are not installed."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

#: Seconds until a server must be there: it shares the machine.
PATIENCE = 60


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class Server:
    """A process that listens on a port of this machine, or of another address of it."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.folder, self.host, self.port = folder, host, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        raise NotImplementedError

    @property
    def user(self) -> str | None:
        return None

    def command(self) -> list[str]:
        raise NotImplementedError

    def answers(self) -> bool:
        raise NotImplementedError

    def start(self) -> None:
        end = time.monotonic() + PATIENCE
        while True:
            with (self.folder / "log").open("ab") as log:
                self.process = subprocess.Popen(
                    self.command(),
                    stdout=log, stderr=log, user=self.user, cwd=self.folder, start_new_session=True,
                )  # fmt: skip
            while time.monotonic() < end and self.process.poll() is None:
                if self.answers():
                    return
                time.sleep(0.02)
            if time.monotonic() > end:
                pytest.fail(f"no server: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.1)  # what it left behind is not gone yet

    def kill(self) -> None:
        """At once, as by a power cut for the process."""
        assert self.process is not None
        self._signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self) -> None:
        """It hears nothing and says nothing, and its connections stay."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: int) -> None:
        for process in self._processes():
            with suppress(ProcessLookupError):  # one that ended meanwhile
                os.kill(process, number)

    def _processes(self) -> list[int]:
        """The server's, and those that it started."""
        assert self.process is not None
        mine = str(self.process.pid)
        lines = {}
        for path in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                lines[path.parent.name] = path.read_text()
        own = [int(pid) for pid, line in lines.items() if line.rpartition(")")[2].split()[1] == mine]
        return [self.process.pid, *own]


class Redis(Server):
    password = "pa55/w:rd"

    @property
    def url(self) -> str:
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"redis://:pa55%2Fw%3Ard@{host}:{self.port}/0"

    def command(self) -> list[str]:
        return [
            "redis-server", "--port", str(self.port), "--bind", self.host, "--dir", str(self.folder),
            "--protected-mode", "no", "--requirepass", self.password,
            "--save", "", "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip

    def answers(self) -> bool:
        import redis

        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False


class Postgres(Server):
    binaries = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))), Path("/none")).parent

    @property
    def url(self) -> str:
        return f"postgresql://funnel:pa55w0rd@{self.host}:{self.port}/postgres"

    @property
    def user(self) -> str | None:
        return "postgres" if os.getuid() == 0 else None  # it does not run as root

    def begin(self) -> None:
        """Its files, once."""
        if self.user is not None:
            shutil.chown(self.folder, self.user)
        (self.folder / "password").write_text("pa55w0rd")
        subprocess.run(
            [self.binaries / "initdb", "-D", self.folder / "data", "-U", "funnel", "-E", "UTF8", "-N",
             "-A", "scram-sha-256", "--pwfile", self.folder / "password"],
            check=True, capture_output=True, user=self.user, cwd=self.folder,
        )  # fmt: skip

    def command(self) -> list[str]:
        return [
            str(self.binaries / "postgres"), "-D", str(self.folder / "data"), "-p", str(self.port),
            "-h", self.host, "-k", "", "-c", "max_connections=40",
        ]  # fmt: skip

    def answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.Error:
            return False
        return True


@contextmanager
def _running(kind: type[Server], **given: Any) -> Iterator[Any]:
    folder = Path(tempfile.mkdtemp(prefix="funnel-server-"))
    server = kind(folder, **given)
    try:
        if isinstance(server, Postgres):
            server.begin()
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.thaw()
            server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def redis_server(**given: Any) -> Any:
    """A Redis that writes each change to disk before it acknowledges it. It is running within `with`."""
    pytest.importorskip("redis", reason="the driver redis is not installed")
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    return _running(Redis, **given)


def postgres_server(**given: Any) -> Any:
    """A PostgreSQL as initdb leaves it. It is running within `with`."""
    pytest.importorskip("psycopg", reason="the driver psycopg is not installed")
    if not Postgres.binaries.is_dir():
        pytest.skip("PostgreSQL is not installed")
    return _running(Postgres, **given)


@contextmanager
def servers() -> Iterator[dict[str, Any]]:
    """Of each kind one, started when it is first asked for: `emptied`."""
    started: dict[str, Any] = {}
    managers: list[Any] = []
    try:
        yield {"started": started, "managers": managers}
    finally:
        for manager in managers:
            manager.__exit__(None, None, None)


def emptied(kind: str, pool: dict[str, Any]) -> Any:
    """A server of a kind, "redis" or "postgres", that holds nothing."""
    if kind not in pool["started"]:
        manager = {"redis": redis_server, "postgres": postgres_server}[kind]()
        pool["started"][kind] = manager.__enter__()
        pool["managers"].append(manager)
    server = pool["started"][kind]
    empty(server)
    return server


def empty(server: Any) -> None:
    """Remove what a server holds."""
    if isinstance(server, Redis):
        import redis

        with redis.Redis.from_url(server.url) as client:
            client.flushdb()
        return
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS funnel CASCADE")
