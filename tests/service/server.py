"""A real server process, and clients of it that count."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from tests.processes import Started, start


def soon(what: Callable[[], Any]) -> bool:
    """Whether it comes true within minutes: what gives way to a busy machine takes long."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        if what():
            return True
        time.sleep(0.02)
    return False


@dataclass(frozen=True)
class Server:
    """`funnel serve`, answering at a port."""

    process: Started
    port: int
    said: list[str] = field(default_factory=list)

    def parents(self) -> list[int]:
        """Processes that loaded a bundle and forked workers: more than one while one follows another."""
        return children(self.process.pid)

    def workers(self) -> list[int]:
        """Processes that answer."""
        return [worker for parent in self.parents() for worker in children(parent)]

    def ports(self, worker: int) -> set[int]:
        """The clients' ports of the connections that a worker holds."""
        links = []
        for link in Path(f"/proc/{worker}/fd").iterdir():
            try:
                links.append(os.readlink(link))
            except OSError:  # closed meanwhile
                continue
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        rows = [line.split() for line in lines]
        return {int(row[2].split(":")[1], 16) for row in rows if f"socket:[{row[9]}]" in links}

    def connection(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def post(self, path: str, body: Any, method: str = "POST", **headers: str) -> tuple[int, Any]:
        """Status and document, over a connection of its own."""
        return ask(self.connection(), path, body, method, **headers)

    def get(self, path: str) -> tuple[int, Any]:
        return ask(self.connection(), path, None, "GET")


def ask(
    connection: HTTPConnection, path: str, body: Any, method: str = "POST", **headers: str
) -> tuple[int, Any]:
    """Status and document of one request."""
    content = None if body is None else json.dumps(body)
    given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
    connection.request(method, path, content, given)
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def children(process: int) -> list[int]:
    """Of a process, those that run; of one that has ended, none."""
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [int(number) for task in tasks for number in (task / "children").read_text().split()]
    except OSError:
        return []


@contextmanager
def server(store: Path, *arguments: str, command: list[str] | None = None) -> Iterator[Server]:
    """A server of a store, ready to answer; killed at the end. command: what Python runs, by default
    `-m funnel serve`."""
    own = ["-m", "funnel", "serve", "--store", str(store), "--port", "0", *arguments]
    process = start(*(command or own), heard=True, COLUMNS="200")
    stderr, said, match = process.stderr(), "", None
    while match is None and (line := stderr.readline()):
        said += line
        match = re.search(r"answers at http://127.0.0.1:(\d+)", line)
    try:
        assert match, said
        running = Server(process, int(match[1]))
        threading.Thread(target=running.said.extend, args=(stderr,), daemon=True).start()
        assert running.get("/health/live")[0] == 200
        yield running
    finally:
        workers = running.workers() if match else []
        process.kill()
        process.wait()
        for worker in workers:
            try:
                os.kill(worker, signal.SIGKILL)
            except ProcessLookupError:
                continue


@dataclass
class Client:
    """Asks over one connection after another, in a thread, until it is stopped or refused.

    pause: seconds between two requests; without any, the clients take the machine from what they wait for.
    answered: statuses. lost: the local ports of connections that ended without an answer. acknowledged: how
    many events of the user were taken in. versions: of the bundles that answered.
    """

    server: Server
    number: int
    pause: float = 0.1
    answered: list[int] = field(default_factory=list)
    lost: list[int] = field(default_factory=list)
    acknowledged: int = 0
    versions: set[str] = field(default_factory=set)
    refused: bool = False
    stop: bool = False

    def run(self) -> None:
        connection = self.server.connection()
        while not self.stop:
            try:
                connection.connect()
            except OSError:
                self.refused = True
                return
            port = connection.sock.getsockname()[1]
            try:
                while not self.stop and self._asked(connection):
                    time.sleep(self.pause)
            except (OSError, HTTPException):
                self.lost.append(port)
            connection.close()

    def _asked(self, connection: HTTPConnection) -> bool:
        """One request, and whether the connection goes on."""
        if len(self.answered) % 2 and self.acknowledged < 150:  # the state keeps 200 of a user
            event = {"user_id": f"client-{self.number}", "item_id": 1 + self.acknowledged % 100}
            status, _ = ask(connection, "/v1/events", {"events": [event]})
            self.acknowledged += status == 200
        else:
            status, answer = ask(connection, "/v1/recommend", {"user_id": self.number, "k": 3})
            self.versions.add(answer.get("version"))
        self.answered.append(status)
        return connection.sock is not None  # else the server said that it closes


@contextmanager
def clients(running: Server, n: int = 6, pause: float = 0.1) -> Iterator[list[Client]]:
    """So many, each of which has had answers; stopped at the end. pause: see `Client`."""
    every = [Client(running, number, pause) for number in range(n)]
    threads = [threading.Thread(target=client.run, daemon=True) for client in every]
    for thread in threads:
        thread.start()
    assert soon(lambda: all(len(client.answered) > 4 for client in every))
    yield every
    for client in every:
        client.stop = True
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
