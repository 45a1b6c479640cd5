"""A load of HTTP requests over raw sockets, from a process of its own: it costs little itself."""

from __future__ import annotations

import json
import os
import select
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

#: A request: its path and the body.
Asked = tuple[str, dict[str, Any]]


@dataclass
class Load:
    """What came of it. seconds: of each answer, from its sending, or from its arrival where arrivals are by
    chance. wrong: answers that are none of 200, and connections that ended without one."""

    taken: float = 0.0
    seconds: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    bytes: int = 0

    @property
    def a_second(self) -> float:
        """Answers a second."""
        return len(self.seconds) / self.taken


class Connection:
    """One socket with at most one request on its way."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.since, self._received = 0.0, b""

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self.socket.sendall(request)

    def answer(self) -> bytes | None:
        """The whole answer, once it is there; empty when the connection ended."""
        part = self.socket.recv(1 << 20)
        if not part:
            return b""
        self._received += part
        head = self._received.find(b"\r\n\r\n")
        if head < 0:
            return None
        length = int(self._received[: head + 2].lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        if len(self._received) < head + 4 + length:
            return None
        answer, self._received = self._received, b""
        return answer


def written(asked: Asked) -> bytes:
    """A request as it goes over the wire."""
    path, body = asked
    content = json.dumps(body, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: {len(content)}"
    )
    return f"{head}\r\n\r\n".encode() + content


class Clients:
    """At most n connections, made when they are wanted; those that wait for an answer, and those that are
    free."""

    def __init__(self, port: int, n: int) -> None:
        self._port, self._most, self.load, self._poll = port, n, Load(), select.epoll()
        self._by_number: dict[int, Connection] = {}
        self._free: list[Connection] = []

    def _connect(self) -> None:
        connection = Connection(self._port)
        self._by_number[connection.socket.fileno()] = connection
        self._poll.register(connection.socket, select.EPOLLIN)
        self._free.append(connection)

    @property
    def free(self) -> bool:
        """Whether one more request may be sent."""
        return self.waiting < self._most

    def send(self, request: bytes, since: float) -> None:
        """On a free connection."""
        if not self._free:
            self._connect()
        self._free.pop().send(request, since)

    @property
    def waiting(self) -> int:
        return len(self._by_number) - len(self._free)

    def receive(self, seconds: float) -> None:
        """Take what arrives within so many seconds, or comes first."""
        for number, _ in self._poll.poll(seconds):
            connection = self._by_number[number]
            try:
                answer = connection.answer()
            except OSError as error:
                answer = b""
                self.load.wrong.append(str(error))
            if answer is not None:
                self._ended(connection, answer)

    def _ended(self, connection: Connection, answer: bytes) -> None:
        now, idle = time.perf_counter(), connection in self._free
        if idle:  # the server ends what nobody has used for long
            self._free.remove(connection)
        elif not answer:
            self.load.wrong.append("the connection ended")
        elif answer[9:12] != b"200":
            self.load.wrong.append(answer[:300].decode(errors="replace"))
        else:
            self.load.seconds.append(now - connection.since)
            self.load.bytes += len(answer)
        if answer and not idle:
            self._free.append(connection)
            return
        self._poll.unregister(connection.socket)
        del self._by_number[connection.socket.fileno()]
        connection.socket.close()

    def close(self) -> None:
        for connection in self._by_number.values():
            connection.socket.close()
        self._poll.close()


def closed(core: int, port: int, asked: Sequence[Asked], clients: int, seconds: float) -> Load:
    """So many clients, each of which asks again as soon as it is answered."""
    os.sched_setaffinity(0, {core})
    requests, every = _round(asked), Clients(port, clients)
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        while every.free:
            every.send(next(requests), time.perf_counter())
        every.receive(0.5)
    every.load.taken = time.perf_counter() - start
    every.close()
    return every.load


def arriving(
    core: int, port: int, asked: Sequence[Asked], rate: float, seconds: float, seed: int = 0, most: int = 512
) -> Load:
    """Requests that arrive by chance (Poisson), so many a second; who finds no connection free waits."""
    os.sched_setaffinity(0, {core})
    requests, every = _round(asked), Clients(port, most)
    gaps = np.random.default_rng(seed).exponential(1 / rate, size=int(rate * seconds * 1.1) + 100)
    arrivals = iter(np.cumsum(gaps).tolist())
    start, queue = time.perf_counter(), deque[float]()
    following = next(arrivals)
    while (now := time.perf_counter() - start) < seconds:
        while following <= now:
            queue.append(following)
            following = next(arrivals)
        while queue and every.free:
            every.send(next(requests), start + queue.popleft())
        every.receive(max(0.0, min(0.5, following - (time.perf_counter() - start))))
    every.load.taken = time.perf_counter() - start
    while every.waiting and time.perf_counter() - start < seconds + 10:
        every.receive(0.5)
    every.load.wrong += ["no answer in ten seconds"] * every.waiting
    every.close()
    return every.load


def _round(asked: Sequence[Asked]) -> Iterator[bytes]:
    requests = [written(one) for one in asked]
    while True:
        yield from requests
