"""Processes of a cluster that work at the same time, as Ray's actors."""

from __future__ import annotations

import logging
import socket
import sys
import time
from typing import Any

from funnel.errors import ConfigError, FunnelError
from funnel.recipes import Member
from funnel.scale.exchange import Exchange, Gather
from funnel.scale.output import to_stderr
from funnel.scale.shipping import Delivered, Written
from funnel.scale.versions import SAME, TRAINING, about_process, check_same

#: Seconds in which it must come out whether an error is due to a process that was lost: so long a cluster
#: takes to notice a machine without power.
_GRACE = 90.0


class Group:
    """seconds: within which all processes must have begun."""

    def __init__(self, ray: Any, seconds: float) -> None:
        self._ray, self._seconds = ray, seconds

    def attempt(self, sent: Any, n: int) -> list[tuple[Any, list[Written]]] | None:
        """What a recipe's work gives in each of n processes, and what it has written; None where one was
        lost. sent: Ray's reference to the bytes and arrays of `Shipment`. Raises: what the work raises;
        ConfigError where they cannot begin."""
        make = self._ray.remote(num_cpus=self._cores(n), scheduling_strategy="SPREAD")(_Process)
        exchange = self._ray.remote(num_cpus=0)(Exchange).remote(n)
        actors = [make.remote() for _ in range(n)]
        try:
            there = self._about(actors)
            if there is None:
                return None
            first = f"{there[0]['host']}:{there[0]['port']}"
            tasks = [
                actor.work.remote(sent, exchange, number, n, first, about["host"])
                for number, (actor, about) in enumerate(zip(actors, there, strict=True))
            ]
            errors = self._wait(tasks)
            if not errors:
                results: list[tuple[Any, list[Written]]] = self._ray.get(tasks)
                return results
        finally:
            for actor in (*actors, exchange):
                self._ray.kill(actor)
        if any(self._is_loss(error) for error in errors):
            return None
        raise min((error.cause for error in errors), key=_rank) from None

    def _cores(self, n: int) -> float:
        """Cores of each, so that there is room for all: one, or a part where there are fewer."""
        nodes = [node for node in self._ray.nodes() if node["Alive"]]
        cores = [int(node["Resources"].get("CPU", 0)) for node in nodes]
        parts = next((parts for parts in range(1, n + 1) if sum(cores) * parts >= n), n)
        return 10_000 // parts / 10_000

    def _about(self, actors: list[Any]) -> list[dict[str, Any]] | None:
        """What each says of itself; None where one was lost meanwhile. Raises: ConfigError where there is no
        room for all, or one has other versions."""
        n = len(actors)
        try:
            there: list[dict[str, Any]] = self._ray.get(
                [actor.about.remote() for actor in actors], timeout=self._seconds
            )
        except self._ray.exceptions.GetTimeoutError:
            raise ConfigError(
                f"{n} processes that work together (scale.item_shards, scale.list_shards) did not all begin "
                f"within {self._seconds:g} s (scale.seconds): the cluster has too few cores free"
            ) from None
        except self._ray.exceptions.RayTaskError as error:
            raise error.cause from None
        except self._ray.exceptions.RayError:
            return None
        here = about_process()
        for about in there:
            check_same(about["host"], about, here, (*SAME, *TRAINING))
        return there

    def _wait(self, tasks: list[Any]) -> list[Any]:
        """Until all have ended; or one has failed, and it is known why: errors."""
        errors: list[Any] = []
        until = float("inf")
        while tasks and time.monotonic() < until:
            done, tasks = self._ray.wait(tasks, num_returns=1, timeout=5.0)
            errors += [error for task in done if (error := self._error_of(task)) is not None]
            if any(self._is_loss(error) or _rank(error.cause) < 2 for error in errors):
                break
            if errors:
                until = min(until, time.monotonic() + _GRACE)
        return errors

    def _error_of(self, task: Any) -> Any:
        try:
            self._ray.get(task)
        except self._ray.exceptions.RayError as error:
            return error
        return None

    def _is_loss(self, error: Any) -> bool:
        """Whether a process was lost: its own, or the one that they tell each other through."""
        exceptions = self._ray.exceptions
        own = not isinstance(error, exceptions.RayTaskError)
        return own or isinstance(error.cause, exceptions.RayActorError)


class _Process:
    """On a worker."""

    def about(self) -> dict[str, Any]:
        """Its versions, its machine's address, and a port that is free there."""
        import ray

        host = ray.util.get_node_ip_address()
        with socket.socket() as free:
            free.bind((host, 0))
            return {**about_process(), "host": host, "port": free.getsockname()[1]}

    def work(
        self, sent: tuple[bytes, list[Any]], exchange: Any, number: int, of: int, address: str, host: str
    ) -> tuple[Any, list[Written]]:
        """What it gives, and what it has written."""
        import ray

        to_stderr()
        member = Member(number, of, address, host, Gather(ray, exchange, number))
        if number == 0:  # how far it is
            logging.basicConfig(format="%(message)s", stream=sys.stderr)
            logging.getLogger("funnel").setLevel(logging.INFO)
        recipe = Delivered(*sent)
        return recipe.value.work(member), recipe.written()


def _rank(error: BaseException) -> int:
    """Where one process fails the others fail for want of it: what says why comes first."""
    return 0 if isinstance(error, FunnelError) else 1 if isinstance(error, OSError) else 2
