"""One process that answers, forked with a loaded `Live`."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import uvicorn
from anyio import to_thread

from funnel.monitoring.thread import Monitoring
from funnel.service.app import Service
from funnel.service.config import ServeConfig
from funnel.service.ending import end
from funnel.service.guarding import Doorkeeper
from funnel.service.observing import Shared
from funnel.service.passing import Passing
from funnel.service.protocol import Protocol
from funnel.service.uvicorn_server import Server
from funnel.serving.background import in_background
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

#: Users, all over the bundle's, that a worker answers before it takes connections.
WARMED = 64

#: Seconds that a connection may be idle: longer than balancers keep theirs, so that these end them.
KEEP_ALIVE = 75


@dataclass(frozen=True)
class Seat:
    """Where a worker belongs. generation: see `funnel.service.generation`. number: among its workers.
    control: a file descriptor that ends when it is to end. answers: one that it writes a byte to when it
    answers.
    """

    generation: int
    number: int
    control: int
    answers: int

    def row(self, workers: int) -> int:
        """In what is shared: for a while two generations count at the same time."""
        return self.number + workers * (self.generation % 2)


def work(live: Live, listener: socket.socket, config: ServeConfig, shared: Shared, seat: Seat) -> NoReturn:
    """Answer until SIGTERM, or until `seat.control` ends, and end the process."""
    code = 1
    try:
        sys.setswitchinterval(TURN)
        _warm(live)
        monitoring = Monitoring(live, shared.monitor)
        with asyncio.Runner(loop_factory=_loop) as runner:
            runner.run(_serve(service_of(live, config, shared, seat), listener, config, shared, seat))
        monitoring.stop(1.0)
        code = 0
    except Exception:
        log.exception("a worker failed")
    finally:
        with contextlib.suppress(Exception):
            live.close()
            sys.stdout.flush()
            sys.stderr.flush()
        end(code)


def _warm(live: Live) -> None:
    """What a process does once is done before anybody waits for it, such as to map the pages that answers
    read; by a thread that gives way, since others may answer on this core."""
    users = live.served().contents.users.ids.values
    some = users[:: max(1, len(users) // WARMED)][:WARMED].tolist()

    def answer() -> None:
        with live.recording.paused():  # nobody is shown these
            live.recommend(None, 1)
            live.recommend_many([None, None, *some], 1)

    in_background(answer)


def _loop() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


def service_of(live: Live, config: ServeConfig, shared: Shared, seat: Seat) -> Callable[[], Service]:
    """What makes a worker's service, with the guard that the config says, in its event loop."""
    guard = Doorkeeper(shared.keys, body=config.body, in_flight=config.in_flight)
    row = seat.row(config.workers)
    return lambda: Service(live, config, guard=guard, shared=shared, worker=row)


async def _serve(
    make: Callable[[], Service], listener: socket.socket, config: ServeConfig, shared: Shared, seat: Seat
) -> None:
    service, loop = make(), asyncio.get_running_loop()
    answers = partial(os.write, seat.answers, b".")
    server = Server(settings(service, config), listener, config.workers, answers)
    passing = None if shared.passing is None else Passing(server, shared.passing)
    tasks, ending = [loop.create_task(service.observer.watch())], False

    def end(*_: Any) -> None:
        """Connections end, too, unless others follow, which have them then."""
        nonlocal ending
        if ending:
            return
        ending = True
        loop.remove_reader(seat.control)
        if passing is not None and _followed(shared, seat):
            tasks.append(loop.create_task(passing.leave(config.drain)))
        else:
            service.drain()
            loop.call_later(GRACE, server.end)

    to_thread.current_default_thread_limiter().total_tokens = THREADS
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, end)
    loop.add_reader(seat.control, end)
    if passing is not None:
        passing.begin()
    await server.serve()
    for task in tasks:
        task.cancel()
    service.close()
    await service.observer.close()


def _followed(shared: Shared, seat: Seat) -> bool:
    return shared.board is not None and shared.board.read().generation > seat.generation


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
