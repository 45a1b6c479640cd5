"""The socket that all workers take connections from."""

from __future__ import annotations

import socket
import struct
import sys

from funnel.errors import ConfigError

#: Connections that wait to be taken, and that a process takes in one turn of its event loop.
BACKLOG, TURN = 2048, 64


def bound(host: str, port: int) -> socket.socket:
    """A listening socket. Raises: ConfigError where the address cannot be had, saying why."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"{host}:{port} cannot be listened on: {error.strerror or error}; give another host or port"
        ) from error
    listener.setblocking(False)
    return listener


def waiting(listener: socket.socket) -> int:
    """How many connections wait to be taken, from 1 to `TURN`; where the system does not say, 1.

    Linux has it as `tcpi_unacked` of a listening socket's TCP_INFO: the fifth number of 32 bits behind
    eight bytes.
    """
    if sys.platform != "linux":
        return 1
    try:
        (known,) = struct.unpack_from("=I", listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 28), 24)
    except (OSError, struct.error):
        return 1
    return min(max(known, 1), TURN)
