"""A network between two machines that a test can cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Network:
    """Passes on what comes in at `port` to a server, and back. `down`: nothing passes, either way, and nobody
    is told; `swallow`: of the next so many connections, the server's answers to what is written from now on
    are lost, with the connection. accepted: connections so far."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listening.getsockname()[1])
        self.up = threading.Event()
        self.up.set()
        self.accepted = self.swallow = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listening.accept()
            except OSError:
                return
            self.accepted += 1
            threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        self.up.wait()
        try:
            far = socket.create_connection(self._server)
        except OSError:
            near.close()
            return
        for one, other, back in ((near, far, False), (far, near, True)):
            threading.Thread(target=self._pass, args=(one, other, back), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, back: bool) -> None:
        try:
            while data := source.recv(65536):
                self.up.wait()
                if back and self.swallow:
                    self.swallow -= 1
                    break
                target.sendall(data)
        except OSError:
            pass
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def leads_to(self, host: str, port: int) -> None:
        """From now on, for new connections."""
        self._server = host, port

    def close(self) -> None:
        self.up.set()
        self._listening.close()
