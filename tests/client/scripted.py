"""A real HTTP server that answers what a test says, in its order, and keeps what it was asked."""

from __future__ import annotations

import json
import socketserver
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = {
    "id": "one", "user_id": 7, "version": "v", "state": "1.2", "reasons": [], "milliseconds": {"rank": 0.5},
    "items": [],
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """status: 0 breaks the connection without a word. slow: seconds between the bytes."""

    status: int = 200
    body: Any = field(default_factory=lambda: ANSWER)
    headers: Mapping[str, str] = field(default_factory=dict)
    slow: float = 0


@dataclass(frozen=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    body: Any


@dataclass
class Server:
    url: str
    asked: list[Asked]


@contextmanager
def serving(*script: Said) -> Iterator[Server]:
    """The last of the script is said for ever."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = script[min(len(asked), len(script) - 1)]
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked.append(Asked(self.command, self.path, headers, json.loads(raw) if raw else None))
            if said.status == 0:
                self.close_connection = True
                return
            body = said.body if isinstance(said.body, bytes) else json.dumps(said.body).encode()
            self.send_response(said.status)
            for name, value in {"Content-Length": str(len(body)), **said.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            pieces = [body[i : i + 1] for i in range(len(body))] if said.slow else [body]
            for piece in pieces:
                self.wfile.write(piece)
                time.sleep(said.slow)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = answer

        def log_message(self, *_: Any) -> None:
            return

    class Quiet(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:  # a client that went away is what a test is about
            return

    assert issubclass(Quiet, socketserver.BaseServer)
    server = Quiet(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield Server(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
