"""Arms that nobody sees: some answers are made again by them, afterwards, while nobody waits.

A shadow never costs a request. It is made behind the answer, in a thread of low priority, and only when no
request has come for a moment; under load it is what is dropped first.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from funnel.errors import FunnelError
from funnel.experiments.comparing import Answers, compare
from funnel.impressions import Impression, read, shadow_folder
from funnel.processes import PerProcess
from funnel.serving.again import Readers, kept
from funnel.serving.arms import Arms, Chosen
from funnel.serving.background import later
from funnel.serving.exploring import Exploring
from funnel.serving.loaded import Loaded
from funnel.serving.recording import Called, Recording
from funnel.serving.request import Request
from funnel.serving.response import Answer
from funnel.values.ids import written

log = logging.getLogger(__name__)

#: Answers that wait for their shadows; seconds for which no request may have come; seconds that one waits.
WAITING, QUIET, PATIENCE = 8, 0.01, 2.0

#: Seconds after which a request that came and was not answered is taken to have failed.
GONE = 1.0

#: Seconds between two looks at whether it is quiet.
_LOOK = 0.002


@dataclass(frozen=True)
class _Queue:
    """What waits, and the lock of the thread that works on it."""

    tasks: deque[_Task] = field(default_factory=deque)
    running: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class _Task:
    """An answer that an arm is to make again. seed: by which the arm's list is drawn, where it draws any;
    None: by chance, see `Exploring.seeds`. since: when it was given, on the monotonic clock; at: on the
    other one."""

    published: Loaded
    experiment: str
    arm: str
    request: Request
    seed: int | None
    answer: Answer
    k: int
    since: float
    at: float


class Shadow:
    """Makes answers again by the arms of share 0 of the experiments that run.

    Shadows are logged as answers are, in a folder of their own; each holds the list that was shown as well.
    done, dropped: how many were made, and how many were not since requests came first.
    """

    def __init__(self, arms: Arms, readers: Readers, recording: Recording, exploring: Exploring) -> None:
        self._arms, self._readers, self._recording = arms, readers, recording
        self._exploring = exploring
        self.done = self.dropped = self.failed = 0
        self._queue = PerProcess(_Queue)
        self._came = self._left = 0.0

    def came(self) -> None:
        """A request has come: whoever makes a shadow waits."""
        self._came = time.monotonic()

    def left(self) -> None:
        """It is answered."""
        self._left = time.monotonic()

    def offer(self, published: Loaded, chosen: Chosen, given: Called, answer: Answer, k: int) -> None:
        """Have an answer made again by the shadows of the user's experiments, where it is among the sampled
        ones. It costs the request a few comparisons. published: whose settings count.

        Where the answer was drawn by chance, so are they, with its seed: what differs is the arm's.
        """
        seed = given.seed if answer.policy is None else answer.policy.seed
        for plan in self._arms.plans:
            if not plan.shadows or plan.name not in chosen.arms:
                continue
            if _is_sampled(answer.id, plan.config.shadow) and (again := kept(given.request)) is not None:
                for arm in plan.shadows:
                    now = time.monotonic(), time.time()
                    self._put(_Task(published, plan.name, arm, again, seed, answer, k, *now))

    def _put(self, task: _Task) -> None:
        queue = self._queue.get()
        if len(queue.tasks) >= WAITING:
            self.dropped += 1
            return
        queue.tasks.append(task)
        if queue.running.acquire(blocking=False):
            later(lambda: self._work(queue))

    def _work(self, queue: _Queue) -> None:
        """Until nothing waits."""
        while True:
            try:
                while queue.tasks:
                    self._handle(queue.tasks.popleft())
            finally:
                queue.running.release()
            if not queue.tasks or not queue.running.acquire(blocking=False):
                return

    def _handle(self, task: _Task) -> None:
        runs = task.experiment in {plan.name for plan in self._arms.plans}
        if not runs or not self._quiet(task.since + PATIENCE):
            self.dropped += 1
            return
        try:
            shadow = self._shadow_of(task)
            if task.since <= self._recording.erased:  # it may be of who was forgotten since
                self.dropped += 1
                return
            self._recording.record_shadow(task.published, shadow)
            self.done += 1
        except FunnelError as error:
            self.failed += 1
            log.warning("the shadow %s of %s failed: %s", task.arm, task.experiment, error)

    def _quiet(self, until: float) -> bool:
        """Wait until none is being answered, and none was a moment ago; False where none such comes in time.
        One that failed, and so was never answered, counts as gone after a second."""
        while (now := time.monotonic()) < until:
            is_idle = self._left >= self._came or now - self._came >= GONE
            if is_idle and now - max(self._left, self._came) >= QUIET:
                return True
            time.sleep(_LOOK)
        return False

    def _shadow_of(self, task: _Task) -> Callable[[], Impression]:
        chosen = self._arms.of({**task.answer.arms, task.experiment: task.arm})
        contents, requests = chosen.loaded.contents, self._readers.requests(chosen, task.request)
        seeds = self._exploring.seeds(contents, [task.answer.user_id], task.seed)
        requests = replace(requests, seeds=seeds)
        began = time.perf_counter()
        final = chosen.loaded.for_requests(requests, task.k)(requests)
        milliseconds = 1000 * (time.perf_counter() - began)
        rows = final.items[0][final.filled[0]]
        scores = final.scores[0][final.filled[0]].astype(np.float32)
        ids = contents.catalogue.ids.take(rows)
        return partial(_impression, task, chosen, ids, scores, milliseconds)

    def figures(self) -> dict[str, int]:
        """For `Live.health`."""
        return {
            "done": self.done, "dropped": self.dropped, "failed": self.failed,
            "waiting": len(self._queue.get().tasks), "bound": WAITING,
        }  # fmt: skip

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until no shadow waits and all are written; whether that was within so many seconds."""
        until, queue = time.monotonic() + seconds, self._queue.get()
        while (queue.tasks or queue.running.locked()) and time.monotonic() < until:
            time.sleep(_LOOK)
        return self._recording.flush(max(0.0, until - time.monotonic()))

    def close(self) -> None:
        """Drop what waits."""
        self._queue.get().tasks.clear()


def _is_sampled(answer: str, share: float) -> bool:
    """By the answer's id, which is chance; by other figures of it than the log's own sample."""
    return int(answer[8:16], 16) < share * 2**32


def _impression(
    task: _Task, chosen: Chosen, ids: list[Any], scores: np.ndarray[Any, Any], milliseconds: float
) -> Impression:
    """A shadow, and in `request` the list that was shown with its scores."""
    shown = task.answer.items
    return Impression(
        id=task.answer.id,
        time=task.at,
        user=written(task.answer.user_id),
        version=chosen.loaded.version,
        k=task.k,
        items=tuple(ids),
        scores=scores,
        shown=tuple(range(len(ids))),
        call="shadow",
        arms={task.experiment: task.arm},
        ms={"shadow": round(milliseconds, 2)},
        request={"items": [item.item_id for item in shown], "scores": [float(item.score) for item in shown]},
    )


def shadows_of(folder: Path, experiment: str) -> dict[str, Answers]:
    """How the lists of an experiment's shadows differ from those that were shown, by arm.

    folder: the store's. An arm without a shadow that was made is absent.
    """
    pairs: dict[str, list[tuple[Any, Any, Any, Any]]] = {}
    for shadow in read(shadow_folder(folder)):
        arm = shadow.arms.get(experiment)
        if arm is not None and shadow.request is not None:
            shown = shadow.request["items"], shadow.request["scores"]
            pairs.setdefault(arm, []).append((*shown, list(shadow.shown_items), shadow.scores.tolist()))
    return {arm: _compared(some) for arm, some in pairs.items()}


def _compared(pairs: list[tuple[Any, Any, Any, Any]]) -> Answers:
    """Lists of ids as codes in one array, and their scores."""
    k = max(1, *(len(part) for pair in pairs for part in (pair[0], pair[2])))
    codes: dict[Any, int] = {}
    items, scores = (np.full((2, len(pairs), k), fill, dtype=np.float64) for fill in (-1, -np.inf))
    for row, pair in enumerate(pairs):
        for side in (0, 1):
            ids, values = pair[2 * side], pair[2 * side + 1]
            items[side, row, : len(ids)] = [codes.setdefault(item, len(codes)) for item in ids]
            scores[side, row, : len(ids)] = values
    return compare(items[0], scores[0], items[1], scores[1])
