"""Parts of a step as tasks of Ray, in their order."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

from funnel.errors import FunnelError
from funnel.recipes import Recipe
from funnel.scale.group import Group
from funnel.scale.output import to_stderr
from funnel.scale.shipping import Delivered, Shipment, Written, delivered
from funnel.scale.storage import Storage

log = logging.getLogger(__name__)

#: How often a part is begun again whose worker was lost.
_AGAIN = 3

#: Parts that are under way or done for each worker before the first is taken: results do not pile up.
_AHEAD = 2


class RayWorkers:
    """See `funnel.recipes.Workers`. count: tasks that there is room for at a time. seconds: within which
    processes that work at the same time must have begun. storage: through which files go; None: all machines
    see the folders."""

    def __init__(self, ray: Any, count: int, seconds: float = 60.0, storage: Storage | None = None) -> None:
        self._ray, self.count, self._seconds, self._storage = ray, count, seconds, storage
        self._task = ray.remote(num_cpus=1, max_retries=_AGAIN)(_done)

    def each(self, recipe: Recipe, parts: Iterable[Any]) -> Iterator[Any]:
        """What the work gives for each part. Raises: what the work raises; FunnelError where workers are
        lost again and again, memory for results is, or the storage."""
        if recipe.shared and self._storage is not None:
            log.warning("this is done by the command itself: it needs a folder that all machines see")
            yield from map(recipe.work, parts)
            return
        sent, waiting = Shipment(recipe, self._storage), deque[Any]()
        text = self._ray.put(sent.text)
        try:
            for part in parts:
                if len(waiting) >= _AHEAD * self.count:
                    yield self._result(sent, waiting.popleft())
                waiting.append(self._task.remote(text, Shipment(part, self._storage).text))
            while waiting:
                yield self._result(sent, waiting.popleft())
        finally:
            for task in waiting:  # nobody waits for them any more
                self._ray.cancel(task, force=True)

    def together(self, recipe: Recipe, n: int) -> list[Any]:
        """What the work gives in each of n processes. Raises: as `each`; ConfigError where a machine has
        other versions."""
        group = Group(self._ray, self._seconds)
        sent = Shipment(recipe, self._storage, apart=True)
        shared = self._ray.put((sent.text, sent.arrays))
        for again in range(_AGAIN + 1):
            if again:
                log.warning("a process of %d was lost: all begin again, from what they kept", n)
            results = group.attempt(shared, n)
            if results is not None:
                for _, written in results:
                    sent.take(written)
                return [result for result, _ in results]
        raise FunnelError(
            f"one of {n} processes was lost {_AGAIN + 1} times; what was done before is kept: run again when "
            "the cluster is well"
        )

    def _result(self, sent: Shipment, task: Any) -> Any:
        exceptions = self._ray.exceptions
        try:
            result, written = self._ray.get(task)
        except exceptions.RayTaskError as error:
            raise error.cause from None
        except exceptions.RayError as error:
            reason = str(error).strip().splitlines()[0]
            raise FunnelError(
                f"the cluster could not do a part of this step, {_AGAIN + 1} times ({type(error).__name__}: "
                f"{reason}); what was done before is kept: run again when it is well"
            ) from error
        sent.take(written)
        return result


def _done(text: bytes, part: bytes) -> tuple[Any, list[Written]]:
    """On a worker: what the work gives, and what it has written."""
    to_stderr()
    recipe, own = delivered(text), Delivered(part)
    return recipe.value.work(own.value), recipe.written()
