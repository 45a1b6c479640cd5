"""One process that answers, forked from the supervisor with a loaded `Live`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Generator
from typing import Any

import uvicorn
from anyio import to_thread

from funnel.monitoring.thread import Monitoring
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.guarding import Doorkeeper
from funnel.service.observing import Shared
from funnel.service.protocol import Protocol
from funnel.serving.live import Live

log = logging.getLogger(__name__)

#: Seconds in which connections that are in use end by themselves, with their next answer, before idle ones
#: are closed: a request that meets a closing connection is lost.
GRACE = 0.5

#: Requests of the seldom routes that are worked on at once: each takes turns with the event loop.
THREADS = 4

#: Seconds after which the event loop lets another thread have its turn: a change takes hundreds of turns, and
#: at Python's 5 ms it would wait for seconds beside a loop that has always something to answer.
TURN = 0.0005

#: Seconds that a connection may be idle: longer than balancers keep theirs, so that these end them.
KEEP_ALIVE = 75


class Server(uvicorn.Server):
    """uvicorn, ended by `end` alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals to the worker."""
        yield

    def end(self) -> None:
        """Take no more connections, and let requests in flight end."""
        self.should_exit = True


def work(
    live: Live, listener: socket.socket, config: ServeConfig, parent: int, shared: Shared, number: int
) -> None:
    """Answer until SIGTERM, or until the supervisor is gone, and end the process.

    parent: a file descriptor that ends with the supervisor. number: of the worker's row in what is shared.
    """
    code = 1
    try:
        sys.setswitchinterval(TURN)
        live.watch(config.watch)
        with live.recording.paused():  # nobody is shown these
            live.recommend_many([None, None], 1)  # what a process does once is done before anybody waits
            live.recommend(None, 1)
        monitoring = Monitoring(live, shared.monitor)
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_serve(service_of(live, config, shared, number), listener, config, parent))
        monitoring.stop(1.0)
        code = 0
    except Exception:
        log.exception("a worker failed")
    finally:
        with contextlib.suppress(Exception):
            live.close()
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)  # what the supervisor does at its end is not this process's to do


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def service_of(live: Live, config: ServeConfig, shared: Shared, number: int) -> Callable[[], Service]:
    """What makes a worker's service, with the guard that the config says, in its event loop."""
    guard = Doorkeeper(shared.keys, body=config.body, in_flight=config.in_flight)
    return lambda: Service(live, config, guard=guard, shared=shared, worker=number)


async def _serve(
    make: Callable[[], Service], listener: socket.socket, config: ServeConfig, parent: int
) -> None:
    service, loop = make(), asyncio.get_running_loop()
    watching = loop.create_task(service.observer.watch())
    server = Server(settings(service, config))

    def drain(*_: Any) -> None:
        loop.remove_reader(parent)
        if not service.rest.draining:
            service.drain()
            loop.call_later(GRACE, server.end)

    to_thread.current_default_thread_limiter().total_tokens = THREADS
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, drain)
    loop.add_reader(parent, drain)
    await server.serve(sockets=[listener])
    watching.cancel()
    service.close()


def settings(service: Service, config: ServeConfig) -> uvicorn.Config:
    """How uvicorn runs the service: it adds nothing but HTTP."""
    return uvicorn.Config(
        service,
        http=Protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=int(config.drain) or 1,
    )
