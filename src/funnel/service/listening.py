"""The socket that all workers take connections from."""

from __future__ import annotations

import socket

from funnel.errors import ConfigError

#: Connections that wait to be taken.
BACKLOG = 2048


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
