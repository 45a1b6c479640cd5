"""What `Live` hands over to the log of answers: taken as it stood, and put into writing in the background."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from pydantic import ValidationError

from funnel.bundle.contents import Contents
from funnel.engine import RANK, Step
from funnel.errors import BundleError, DataError
from funnel.impressions import (
    Impression,
    ImpressionsConfig,
    Recorder,
    answers_folder,
    read,
    shadow_folder,
)
from funnel.impressions.erase import erase
from funnel.impressions.sweep import Retention
from funnel.serving.background import later
from funnel.serving.forgotten import erase_once
from funnel.serving.loaded import Loaded
from funnel.serving.logged import Front, impression_of
from funnel.serving.request import Request
from funnel.serving.response import Answer
from funnel.types import Candidates, Requests
from funnel.values.plain import plain
from funnel.values.text import mended

log = logging.getLogger(__name__)

#: Stages behind which the order is that of scores, the last of them first; what stands behind re-ranks.
_SCORED = ("value", RANK)
_RETRIEVED = ("eligible", "filter", "retrieve")


def in_front(contents: Contents, steps: Sequence[Step], row: int = 0) -> Callable[[], Front]:
    """What gives it, of a request of a batch, by its row in it: looked for where it is wanted."""
    return partial(_in_front, contents, steps, row)


def _in_front(contents: Contents, steps: Sequence[Step], row: int) -> Front:
    names = [step.name for step in steps]
    chosen = next((name for name in _SCORED if name in names), None)
    if chosen is None:  # no ranker: behind the last stage of a plugin in front of it
        there = [*reversed(contents.retrieve.stages), *_RETRIEVED]
        chosen = next((name for name in there if name in names), names[0])
    candidates = steps[names.index(chosen)].candidates
    return Front(candidates.items[row], candidates.scores[row])


@dataclass(frozen=True, slots=True)
class Called:
    """What a call of `Live` was, for the log. call: its name. front: see `in_front`. seed: that was given for
    a list that is drawn."""

    call: str
    request: Request
    front: Callable[[], Front]
    seed: int | None = None


class Recording:
    """The log of answers of one `Live`, and that of its shadows. store: its folder. settings: None: as the
    bundle in use has them in its config.

    With the bundle's settings the log goes on and off with what is published. erased: when somebody was
    erased last, on the monotonic clock.
    """

    def __init__(self, store: Path, settings: ImpressionsConfig | None) -> None:
        self._settings, self.folder, self._shadows = settings, answers_folder(store), shadow_folder(store)
        self._recorders: dict[Path, Recorder] = {}
        self.erased = float("-inf")
        self._forgotten: dict[str, float] = {}
        self._of_bundle: tuple[str, ImpressionsConfig] | None = None
        self._refused: str | None = None
        self._paused = False
        self.feedback = 0

    def settings(self, loaded: Loaded) -> ImpressionsConfig:
        """What counts for a bundle."""
        if self._settings is not None:
            return self._settings
        if self._of_bundle is None or self._of_bundle[0] != loaded.version:
            self._of_bundle = loaded.version, self._read(loaded)
        return self._of_bundle[1]

    def _read(self, loaded: Loaded) -> ImpressionsConfig:
        try:
            settings = ImpressionsConfig.model_validate(loaded.contents.while_served.get("impressions", {}))
            self._refused = None
        except ValidationError as error:  # of a later funnel: nobody knows what was allowed
            self._refused = f"[impressions] of {loaded.version} cannot be read, so that nothing is logged"
            log.error("%s: %s", self._refused, error)
            settings = ImpressionsConfig()
        return settings

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Requests that nobody made, such as those that warm a process, are not logged."""
        self._paused, before = True, self._paused
        try:
            yield
        finally:
            self._paused = before

    def record(self, published: Loaded, contents: Contents, given: Called, requests: Requests,
               final: Candidates, answer: Answer, wanted: int) -> None:  # fmt: skip
        """Log one answer; it costs what references cost. published: whose settings count. contents: what
        answered. requests, final: of that one request."""
        settings = self.settings(published)
        if not settings.log or self._paused:
            return
        request, sampled = given.request, _is_sampled(answer.id, settings.sample)
        facts = {
            "context": plain(request.context) if request.context else {},  # the caller's, who may change it
            "where": plain(request.where) if request.where else None,
            "request": plain(dict(request.user or {})) if sampled else None,
            "seed": None if given.seed is None else int(given.seed),
        }
        self._recorder(self.folder, settings).put(
            partial(
                impression_of, contents, given.call, given.front(), requests, final, answer, wanted,
                settings.candidates, time.time(), facts,
            )
        )  # fmt: skip

    def record_shadow(self, published: Loaded, make: Callable[[], Impression]) -> None:
        """Log what nobody was shown. published: whose settings say how long it is kept; make: see
        `Recorder.put`."""
        self._recorder(self._shadows, self.settings(published)).put(make)

    def _recorder(self, folder: Path, settings: ImpressionsConfig) -> Recorder:
        if folder not in self._recorders:
            retention = Retention(settings.keep_seconds, settings.size_bytes)
            self._recorders.setdefault(folder, Recorder(folder, settings.buffer, retention))
        return self._recorders[folder]

    def figures(self, loaded: Loaded) -> dict[str, Any]:
        """For `Live.health`: of this process."""
        settings = self.settings(loaded)
        recorder = self._recorders.get(self.folder)
        figures = Recorder.nothing(settings.buffer) if recorder is None else recorder.figures()
        figures["error"] = figures["error"] or self._refused
        return {"log": settings.log, "folder": str(self.folder), **figures, "feedback": self.feedback}

    def answers_of(self, user: str) -> list[dict[str, Any]]:
        """What a person was answered and is still in the log, as plain values, by time. It reads the whole
        log. Raises: BundleError where it cannot be read."""
        self.flush()
        with self._as_bundle_error():
            theirs = [shown for shown in read(self.folder) if str(shown.user) == mended(user)]
        return [
            {
                "answer": shown.id,
                "time": shown.time,
                "version": shown.version,
                "items": list(shown.shown_items),
            }
            for shown in sorted(theirs, key=lambda shown: shown.time)
        ]

    def erase(self, user: str) -> int:
        """Remove what a person was answered from the log, and shadows of it; how many answers there were.
        Raises: BundleError where the log cannot be written, or is damaged; what is left then is removed when
        it is called again."""
        self.erased = monotonic()
        self.flush()
        with self._as_bundle_error():
            erase(self._shadows, mended(user))
            return erase(self.folder, mended(user))

    def forget(self, people: Iterable[tuple[str, float]]) -> None:
        """Have people removed from the log, and from that of shadows, who were forgotten on any machine, in
        the background. people: digests of ids, and when; those who were named before are passed over."""
        new = {user: at for user, at in people if self._forgotten.get(user) != at}
        self._forgotten |= new
        if new and (self.folder.is_dir() or self._shadows.is_dir()):
            self.erased = monotonic()
            later(partial(self._erase_forgotten, new))

    def _erase_forgotten(self, forgotten: Mapping[str, float]) -> None:
        self.flush()
        try:
            erase_once(forgotten, [self.folder, self._shadows], self.folder.parent)
        except (OSError, DataError) as error:
            log.warning("the log of answers in %s may have people who were forgotten: %s", self.folder, error)

    @contextmanager
    def _as_bundle_error(self) -> Iterator[None]:
        try:
            yield
        except (OSError, DataError) as error:
            raise BundleError(f"the log of answers in {self.folder}: {error}") from error

    def flush(self, seconds: float = 5.0) -> bool:
        """Wait until what was answered is in the log; whether it was within so many seconds."""
        until = monotonic() + seconds
        recorders = list(self._recorders.values())
        are_written = [each.flush(max(0.0, until - monotonic())) for each in recorders]
        return all(are_written)

    def close(self) -> None:
        """Write what waits, and give the file back; the next answer opens another."""
        for recorder in list(self._recorders.values()):
            recorder.close()


def _is_sampled(answer: str, share: float) -> bool:
    """By the answer's id, which is chance."""
    return int(answer[:8], 16) < share * 2**32
